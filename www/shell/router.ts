// Hash routes: `#/view`, `#/view?query`, `#/sample/<id>`.

export type View = "results" | "sample" | "setup" | "run" | "explore" | "storage";

export interface Route {
  view: View;
  /** The sample's id. */
  id: string;
  query: URLSearchParams;
}

const VIEWS: readonly string[] = ["results", "sample", "setup", "run", "explore", "storage"];

/** Reads a hash; null where it names no view. */
export function parse(hash: string): Route | null {
  const match = /^#\/([a-z]+)(?:\/([^?]*))?(?:\?(.*))?$/.exec(hash);
  const view = match?.[1];
  if (!view || !VIEWS.includes(view)) return null;
  let id = match[2] ?? "";
  try {
    id = decodeURIComponent(id);
  } catch {
    // A stray percent sign: take the id as it stands.
  }
  return { view: view as View, id, query: new URLSearchParams(match[3] ?? "") };
}

/** Calls `show` for the present hash and every later one. A hash without a view shows the results. */
export function route(show: (route: Route) => void): void {
  const go = () => show(parse(location.hash) ?? { view: "results", id: "", query: new URLSearchParams() });
  addEventListener("hashchange", () => {
    // An anchor inside a view is no change of view.
    if (location.hash === "" || location.hash.startsWith("#/")) go();
  });
  go();
}
