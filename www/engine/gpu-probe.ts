// What the worker sees of WebGPU: every buffer counted where it is made, destroyed or collected, the
// adapter's own words, and the loss of the device. The engine reads it as `saescopeGpu`
// (crate/platform/web/gpu.rs).

interface Gpu {
  requestAdapter(options: { powerPreference: string }): Promise<Adapter | null>;
}
interface Adapter {
  info: { vendor: string; architecture: string; device: string; description: string; isFallbackAdapter?: boolean };
  isFallbackAdapter?: boolean;
  limits: { maxStorageBufferBindingSize: number; maxBufferSize: number };
  features: { has(name: string): boolean };
  requestDevice(descriptor: unknown): Promise<Device>;
}
interface Device {
  lost: Promise<{ reason: string; message: string }>;
  createBuffer(descriptor: { size: number }): Buffer;
  destroy(): void;
}
interface Buffer {
  size: number;
  destroy(): void;
}
/** What is counted of a buffer. */
interface Held {
  size: number;
  of: number;
}
type Prototype<T> = { prototype: T } | undefined;

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|basic render|warp/i;

/** Counts what WebGPU holds and tells when the device is gone. */
export class GpuProbe {
  /** Bytes in buffers now, at most since `reset`, and in the largest one so far. */
  bytes = 0;
  peak = 0;
  largest = 0;
  device: Device | null = null;

  #alive = new WeakMap<Buffer, Held>();
  // wgpu lets go of buffers without destroying them: the browser does that when it collects them
  #collected = new FinalizationRegistry<Held>((held) => this.#free(held));
  /** Devices that were released: their buffers went with them, and are collected later. */
  #released = 0;

  constructor(onLost: (reason: string) => void) {
    const scope = globalThis as unknown as {
      GPUDevice: Prototype<Device>;
      GPUBuffer: Prototype<Buffer>;
      GPUAdapter: Prototype<Adapter>;
    };
    if (!scope.GPUDevice || !scope.GPUBuffer || !scope.GPUAdapter) return;
    const probe = this;
    const createBuffer = scope.GPUDevice.prototype.createBuffer;
    scope.GPUDevice.prototype.createBuffer = function (descriptor) {
      const buffer = createBuffer.call(this, descriptor);
      probe.#made(buffer, descriptor.size);
      return buffer;
    };
    const destroy = scope.GPUBuffer.prototype.destroy;
    scope.GPUBuffer.prototype.destroy = function () {
      const held = probe.#alive.get(this);
      if (held) probe.#free(held);
      destroy.call(this);
    };
    const requestDevice = scope.GPUAdapter.prototype.requestDevice;
    scope.GPUAdapter.prototype.requestDevice = async function (descriptor) {
      const device = await requestDevice.call(this, descriptor);
      probe.device = device;
      void device.lost.then(({ reason, message }) => {
        if (probe.device === device) onLost(message || reason);
      });
      return device;
    };
  }

  #made(buffer: Buffer, size: number): void {
    const held = { size, of: this.#released };
    this.#alive.set(buffer, held);
    this.#collected.register(buffer, held);
    this.bytes += size;
    this.peak = Math.max(this.peak, this.bytes);
    this.largest = Math.max(this.largest, size);
  }

  #free(held: Held): void {
    if (held.of === this.#released) this.bytes -= held.size;
    // destroyed now, collected later: counted once
    held.size = 0;
  }

  /** The device is about to be closed, in good order. */
  release(): void {
    this.device = null;
    this.#released += 1;
    this.bytes = 0;
  }

  /** Counts the peak anew. */
  reset(): void {
    this.peak = this.bytes;
  }

  /** The adapter that the browser offers; null where there is none. */
  async find(): Promise<{ name: string; software: boolean; max_buffer: number } | null> {
    const gpu = (navigator as unknown as { gpu?: Gpu }).gpu;
    const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) return null;
    const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
    const name = description || [vendor, architecture, device].filter(Boolean).join(" ") || "unnamed adapter";
    return {
      name,
      software: Boolean(isFallbackAdapter ?? adapter.isFallbackAdapter) || SOFTWARE.test(`${name} ${architecture}`),
      max_buffer: Math.min(adapter.limits.maxStorageBufferBindingSize, adapter.limits.maxBufferSize),
    };
  }
}
