"""GFLOP/s of torch's matrix products on the CPU, at the shapes of `saescope bench --gemm`.

    python bench/torch_gemm.py [ROUNDS]

One product that is not counted, then at least 0.3 s a round; the median and the fastest of all rounds.
"""

import sys
import time

import torch

SHAPES = [
    (2000, 2304, 2304),
    (2000, 2304, 9216),
    (2000, 9216, 2304),
    (96, 2304, 9216),
    (16, 2304, 9216),
    (3200, 576, 576),
    (3200, 576, 1536),
    (3200, 1536, 576),
    (96, 576, 1536),
    (600, 576, 4096),
]
LEAST = 0.3


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
    print(f"{'rows x in x out':<18} {'form':<18} {'products':>9} {'GFLOP/s':>13} {'fastest':>9}")
    for rows, d_in, d_out in SHAPES:
        for name, kind in (("torch f32", torch.float32), ("torch bf16", torch.bfloat16)):
            x = (torch.rand(rows, d_in) * 2 - 1).to(kind)
            w = (torch.rand(d_out, d_in) * 2 - 1).to(kind)
            seconds = []
            with torch.inference_mode():
                for _ in range(rounds):
                    torch.nn.functional.linear(x, w)
                    begin = time.perf_counter()
                    while time.perf_counter() - begin < LEAST:
                        start = time.perf_counter()
                        torch.nn.functional.linear(x, w)
                        seconds.append(time.perf_counter() - start)
            seconds.sort()
            pace = [2e-9 * rows * d_in * d_out / s for s in (seconds[len(seconds) // 2], seconds[0])]
            shape = f"{rows}x{d_in}x{d_out}"
            print(f"{shape:<18} {name:<18} {len(seconds):>9} {pace[0]:>13.1f} {pace[1]:>9.1f}", flush=True)


if __name__ == "__main__":
    main()
