// Workers that are under the page's own content security policy, whoever hosts it.
//
// A worker from an address has the policy that came with its script's answer, and a plain host sends
// none: the policy in the page's head does not reach it. A worker from a blob: address has the policy
// of the page that made it (HTML, "initialize a worker global scope's policy container"). So the
// worker is a blob that does nothing but import the script.

/** A module worker under the page's policy. */
export class PolicyWorker extends EventTarget {
  #worker: Worker | null = null;
  /** What was posted before the worker said anything; null once it has. */
  #unheard: unknown[] | null = [];
  #refused = false;
  /** Whether the way without a blob was taken. */
  #tried = false;

  /** `script` is an address of this page's host. */
  constructor(
    readonly script: string,
    readonly name: string,
  ) {
    super();
    document.addEventListener("securitypolicyviolation", this.#noteRefusal);
    const address = new URL(script, document.baseURI).href;
    const importing = new Blob([`import ${JSON.stringify(address)};`], { type: "text/javascript" });
    try {
      this.#worker = this.#start(URL.createObjectURL(importing));
    } catch {
      // how older browsers refuse
      this.#refused = true;
      void this.#covered("");
    }
  }

  postMessage(message: unknown): void {
    this.#worker?.postMessage(message);
    this.#unheard?.push(message);
  }

  terminate(): void {
    this.#heard();
    this.#worker?.terminate();
  }

  #start(address: string): Worker {
    const worker = new Worker(address, { type: "module", name: this.name });
    worker.onmessage = ({ data }: MessageEvent<unknown>) => {
      this.#heard();
      this.dispatchEvent(new MessageEvent("message", { data }));
    };
    worker.onmessageerror = () => this.dispatchEvent(new Event("messageerror"));
    worker.onerror = (event) => {
      event.preventDefault();
      if (this.#unheard === null || !address.startsWith("blob:")) this.#fail(event.message);
      // It may have been refused: the browser tells of that in a task of its own, whenever it is run.
      else if (!this.#tried) void this.#covered(event.message);
    };
    return worker;
  }

  readonly #noteRefusal = (event: SecurityPolicyViolationEvent) => {
    if (event.blockedURI.startsWith("blob") && /^(worker|child|script)-src/.test(event.effectiveDirective)) this.#refused = true;
  };

  #heard(): void {
    this.#unheard = null;
    document.removeEventListener("securitypolicyviolation", this.#noteRefusal);
  }

  /**
   * The host has a policy of its own that allows no worker from a blob. Where it sends it with the
   * worker's script too, that one holds there. `message` is why the worker from the blob failed.
   */
  async #covered(message: string): Promise<void> {
    this.#tried = true;
    try {
      const { headers } = await fetch(this.script);
      const policy = headers.get("content-security-policy") ?? "";
      if (!/(script|default)-src/.test(policy) || /'unsafe-eval'/.test(policy)) throw new Error("no policy");
      // terminated meanwhile
      if (this.#unheard === null) return;
      this.#worker?.terminate();
      this.#worker = this.#start(this.script);
      for (const message of this.#unheard) this.#worker.postMessage(message);
    } catch {
      // only the words depend on whether the refusal is known by now
      await new Promise((done) => setTimeout(done, 50));
      const refusal = "the host's content security policy allows no worker from blob: (worker-src), and sends none for the worker's script";
      this.#fail(this.#refused ? refusal : message);
    }
  }

  #fail(message: string): void {
    this.#heard();
    this.dispatchEvent(new ErrorEvent("error", { message }));
  }
}
