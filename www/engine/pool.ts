// Workers that measure a run side by side. The engine's own worker has the run and its spool, and cuts what is
// left of it into shares; each of these takes one after the other, and what it measured is handed back as bytes.
// They share no memory, which would take headers that a plain host does not send, and they end with the run: a
// WASM memory never shrinks.

import { asEngineError } from "./failure";
import { MEASURING } from "./protocol";
import type { CallEvent, Download, EngineError, Progress, Request, Results, Setup, Share, Shares, Told, ToWorker } from "./protocol";
import { Rpc } from "./rpc";

/** How a pool is. */
export interface Crew {
  /** Workers that measure. */
  working: number;
  /** Workers that were wanted. */
  wanted: number;
  /** Why the last one that was lost was. */
  lost: EngineError | null;
}

/** What a pool tells. */
export interface PoolHooks {
  /** A share is measured; `memory`: what all workers took at most. */
  measured(portion: Uint8Array, memory: number): void;
  progress(progress: Progress): void;
  download(download: Download): void;
  crew(crew: Crew): void;
  /** No worker can go on. */
  failed(error: EngineError): void;
}

/** A share on its way, and what its worker last said of it. */
interface Going {
  share: Share;
  /** Whether ordinary text is run with it. */
  ordinary: boolean;
  progress: Progress | null;
}

class Member {
  ready = false;
  going: Going | null = null;
  /** Bytes of its memory, which only grows. */
  memory = 0;
  /** Bytes that it fetched. */
  received = 0;
  calls: Rpc<Request, Results, CallEvent, Told>;

  constructor(script: string, module: WebAssembly.Module, readonly at: number) {
    const end = (error: EngineError) => this.calls.end(error);
    this.calls = new Rpc(script, `${MEASURING} ${at + 1}`, {
      started: () => ({ id: 0, type: "module", module }) satisfies ToWorker,
      told: (message) => {
        if (message.type === "crashed") end(message.error);
        else this.ready = true;
      },
      broke: (message) => end({ kind: "crashed", message: message || "a worker's script could not be loaded" }),
    });
  }
}

/** Whether a machine that has less than was thought is why a worker ended, and fewer of them can go on. */
function lacking(member: Member, error: EngineError): boolean {
  return error.kind === "out-of-memory" || (error.kind === "crashed" && !member.ready);
}

/** Measures the shares of one run. */
export class Pool {
  #waiting: Share[];
  #members: Member[] = [];
  #ended = false;
  #lost: EngineError | null = null;
  #ordinary = false;
  readonly #started = performance.now();
  readonly #total: number;
  /** Samples of the shares that are measured. */
  #done = 0;
  /** What their workers said of them at the end. */
  #past = { bytes: 0, stages: new Map<string, number>() };

  constructor(
    script: string,
    module: WebAssembly.Module,
    readonly shares: Shares,
    readonly setup: Setup,
    readonly hooks: PoolHooks,
  ) {
    this.#waiting = [...shares.shares];
    this.#total = shares.before + this.#waiting.reduce((sum, { samples }) => sum + samples, 0);
    const wanted = Math.min(shares.workers, this.#waiting.length);
    this.#members = Array.from({ length: wanted }, (_, at) => new Member(script, module, at));
    this.#tellCrew();
    for (const member of [...this.#members]) void this.#work(member);
  }

  /** Ends all workers, whatever they do. */
  end(): void {
    this.#ended = true;
    for (const member of this.#members.splice(0)) member.calls.end({ kind: "cancelled", message: "cancelled" });
  }

  /** One share after the other, as long as there are some. */
  async #work(member: Member): Promise<void> {
    for (let share = this.#waiting.shift(); share; share = this.#waiting.shift()) {
      const going: Going = { share, ordinary: !this.#ordinary, progress: null };
      this.#ordinary = true;
      member.going = going;
      try {
        const portion = await this.#measure(member, going);
        if (this.#ended) return;
        this.#finish(member, going);
        this.hooks.measured(portion, this.#memory());
      } catch (reason) {
        if (!this.#ended) this.#lose(member, going, asEngineError(reason));
        return;
      }
    }
    // one that others may need yet stays: see #lose
    if (!this.#members.some(({ going }) => going)) this.end();
  }

  #measure(member: Member, going: Going): Promise<Uint8Array> {
    const { packed } = going.share;
    // the share is the data
    const setup: Setup = { ...this.setup, data: { kind: "builtin" } };
    const { files } = this.shares;
    const { at: worker } = member;
    const request = { type: "measure" as const, setup, share: packed, ordinary: going.ordinary, files, worker };
    return member.calls.call<"measure">(request, (event) => {
      if (event.type === "download") this.#download(member, event.download);
      if (event.type !== "progress" || this.#ended) return;
      going.progress = event.progress;
      member.memory = event.progress.memory.wasm;
      this.#tellProgress();
    });
  }

  #download(member: Member, download: Download): void {
    member.received = download.received;
    this.hooks.download({ ...download, received: this.#members.reduce((sum, { received }) => sum + received, 0) });
  }

  #finish(member: Member, { share, progress }: Going): void {
    member.going = null;
    this.#done += share.samples;
    this.#past.bytes += progress?.bytes_read ?? 0;
    for (const [name, seconds] of progress?.stages ?? []) {
      this.#past.stages.set(name, (this.#past.stages.get(name) ?? 0) + seconds);
    }
  }

  /** A worker is gone: its share goes to the others, where what happened to it need not happen to them. */
  #lose(member: Member, going: Going, error: EngineError): void {
    const others = this.#members.filter((one) => one !== member);
    if (!others.length || !lacking(member, error)) {
      this.end();
      this.hooks.failed(error);
      return;
    }
    member.calls.end(error);
    this.#members = others;
    this.#lost = error;
    if (going.ordinary) this.#ordinary = false;
    this.#waiting.unshift(going.share);
    this.#tellCrew();
    const idle = others.find((one) => !one.going);
    if (idle) void this.#work(idle);
  }

  #memory(): number {
    return this.#members.reduce((sum, { memory }) => sum + memory, this.shares.memory.wasm);
  }

  #tellCrew(): void {
    this.hooks.crew({ working: this.#members.length, wanted: this.shares.workers, lost: this.#lost });
  }

  /** All workers' progress as that of one run. */
  #tellProgress(): void {
    const told = this.#members.flatMap(({ going }) => (going?.progress ? [going.progress] : []));
    const last = told.reduce((slowest, one) => (one.layer < slowest.layer ? one : slowest));
    const sum = (of: (progress: Progress) => number) => told.reduce((all, one) => all + of(one), 0);
    const done = this.#done + sum(({ samples_done }) => samples_done);
    const seconds = (performance.now() - this.#started) / 1000;
    const rate = done / seconds;
    const left = Math.max(0, this.#total - this.shares.before - done);
    this.hooks.progress({
      samples_done: this.shares.before + done,
      samples_total: this.#total,
      seconds,
      rate,
      ...(rate > 0 ? { eta: left / rate } : {}),
      layer: last.layer,
      layers: last.layers,
      bytes_read: this.#past.bytes + sum(({ bytes_read }) => bytes_read),
      stages: last.stages.map(([name]): [string, number] => {
        const now = sum(({ stages }) => stages.find(([other]) => other === name)?.[1] ?? 0);
        return [name, now + (this.#past.stages.get(name) ?? 0)];
      }),
      memory: { ...last.memory, wasm: this.#memory() },
    });
  }
}
