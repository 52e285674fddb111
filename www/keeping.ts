// What the page and its service worker say to each other about working without a network.

/** Everything that the view on the screen needs, to be kept in one step. */
export interface Keep {
  type: "keep";
  /** Address of catalog.json. */
  catalog: string;
  /** Addresses of a run's files, all in one folder; none where no run of a host is shown. */
  run: string[];
}

/** How that step ended. */
export type Kept =
  | {
      kept: true;
      /** Whether the page's host was reached; if not, the copies of an earlier visit are whole. */
      answers: boolean;
      /** The same of the run's host, which may be another. */
      runAnswers: boolean;
    }
  | { kept: false; reason: string };

/** Every copy of a run is a cache of its own, named `<this><folder> <time>`. */
export type RunPrefix = "saescope-run ";

export type ToServiceWorker = Keep | { type: "take-over" };

/** What the service worker tells a page unasked: whether the page's host answers. */
export interface HostAnswers {
  type: "host";
  answers: boolean;
}
