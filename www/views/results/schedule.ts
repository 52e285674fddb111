// Work in idle slots, one job a slot, so that the page answers between any two plots.

const idle: (job: () => void) => void =
  typeof requestIdleCallback === "function"
    ? (job) => requestIdleCallback(job, { timeout: 200 })
    : (job) => setTimeout(job, 16);

/** Jobs by key: a job that is added again before it ran takes the place of the earlier one. */
export class IdleQueue {
  #jobs = new Map<string, () => void>();
  #waiting = false;

  add(key: string, job: () => void): void {
    this.#jobs.set(key, job);
    this.#wait();
  }

  /** The same, before everything that waits. */
  next(key: string, job: () => void): void {
    this.#jobs.delete(key);
    this.#jobs = new Map([[key, job], ...this.#jobs]);
    this.#wait();
  }

  clear(): void {
    this.#jobs.clear();
  }

  #wait(): void {
    if (this.#waiting || this.#jobs.size === 0) return;
    this.#waiting = true;
    idle(() => {
      this.#waiting = false;
      const first = this.#jobs.entries().next();
      if (first.done === true) return;
      const [key, job] = first.value;
      this.#jobs.delete(key);
      try {
        job();
      } finally {
        this.#wait();
      }
    });
  }
}
