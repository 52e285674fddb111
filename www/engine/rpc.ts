// Calls to a worker, the engine's and the data's: each with an id, any number of events, and one end. The
// worker is started by the first call, and after it broke by the next one.

import { EngineFailure, failure } from "./failure";
import { PolicyWorker } from "./policy-worker";
import type { EngineError } from "./protocol";

/** The end of call `id`. */
export type Ended = { id: number; type: "done"; result: unknown } | { id: number; type: "error"; error: EngineError };

interface Open<Event> {
  resolve(result: unknown): void;
  reject(reason: EngineFailure): void;
  onEvent: ((event: Event) => void) | undefined;
}

/** What a client has to do with its worker beside calls. */
export interface Hooks<Told> {
  /** A worker is being started; gives what it is told first. */
  started?(): object | void;
  /** The worker said something that belongs to no call. */
  told?(message: Told): void;
  /** Its script could not be loaded, or it broke; `message` may be empty. Has to call `end`. */
  broke(message: string): void;
  /** What asks a call to stop. */
  cancel?(id: number): object;
}

/** The calls to one worker. `Event` is what a call says before its end, `Told` what belongs to no call. */
export class Rpc<
  Request extends { type: string },
  Results extends Record<Request["type"], unknown>,
  Event extends { id: number; type: string } = never,
  Told extends { id: 0; type: string } = never,
> {
  #worker: PolicyWorker | null = null;
  #open = new Map<number, Open<Event>>();
  #next = 1;

  constructor(
    readonly script: string,
    readonly name: string,
    readonly hooks: Hooks<Told>,
  ) {}

  /** Starts the worker before there is anything to ask it. */
  start(): void {
    this.#worker ??= this.#started();
  }

  /** Asks for one thing. Rejects with EngineFailure. An aborted signal asks the worker to stop; the call
   *  then ends with kind `cancelled`. */
  call<K extends Request["type"]>(
    request: Extract<Request, { type: K }>,
    onEvent?: (event: Event) => void,
    signal?: AbortSignal,
  ): Promise<Results[K]> {
    const id = this.#next++;
    return new Promise<Results[K]>((resolve, reject) => {
      if (signal?.aborted) {
        reject(failure("cancelled", "stopped before it began"));
        return;
      }
      const stop = () => {
        const request = this.hooks.cancel?.(id);
        if (request) this.#post({ ...request, id: this.#next++ });
      };
      const settle = () => signal?.removeEventListener("abort", stop);
      this.#open.set(id, {
        resolve: (result) => (settle(), resolve(result as Results[K])),
        reject: (reason) => (settle(), reject(reason)),
        onEvent,
      });
      signal?.addEventListener("abort", stop);
      this.#post({ ...request, id });
    });
  }

  /** Ends the worker and with it every open call; the next call starts a new one. */
  end(error: EngineError): void {
    this.#worker?.terminate();
    this.#worker = null;
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const call of open) call.reject(new EngineFailure(error));
  }

  #post(message: { id: number }): void {
    this.start();
    try {
      this.#worker!.postMessage(message);
    } catch (reason) {
      this.#open.get(message.id)?.reject(failure("usage", String(reason)));
      this.#open.delete(message.id);
    }
  }

  #started(): PolicyWorker {
    const first = this.hooks.started?.();
    const worker = new PolicyWorker(this.script, this.name);
    if (first) worker.postMessage(first);
    const still = () => worker === this.#worker;
    worker.addEventListener("message", (event) => {
      if (still()) this.#receive((event as MessageEvent<Ended | Event | Told>).data);
    });
    worker.addEventListener("error", (event) => {
      if (still()) this.hooks.broke((event as ErrorEvent).message);
    });
    worker.addEventListener("messageerror", () => {
      if (still()) this.hooks.broke(`the ${this.name} worker sent a message that cannot be read`);
    });
    return worker;
  }

  #receive(message: Ended | Event | Told): void {
    if (message.id === 0) {
      this.hooks.told?.(message as Told);
      return;
    }
    const call = this.#open.get(message.id);
    if (message.type !== "done" && message.type !== "error") {
      call?.onEvent?.(message as Event);
      return;
    }
    this.#open.delete(message.id);
    const ended = message as Ended;
    if (ended.type === "done") call?.resolve(ended.result);
    else call?.reject(new EngineFailure(ended.error));
  }
}
