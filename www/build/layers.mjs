// The page's floors: a file imports from its own folder and from floors below it, and no two files import
// each other in a circle. Views are siblings: none knows another. `npm run check` runs this.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** From the ground up; folders of one line are siblings. Whatever is not named lies on the ground. */
const FLOORS = [
  ["generated"],
  ["engine"],
  ["data"],
  ["state"],
  ["ui"],
  ["export"],
  readdirSync(fileURLToPath(new URL("../views", import.meta.url))).map((view) => `views/${view}`),
  // the page around the views; the report, which is a page of its own; the package for pages of others
  ["shell", "report", "package"],
];
/** What puts the floors together. */
const TOP = ["main.ts"];

const www = fileURLToPath(new URL("..", import.meta.url));

/** A file's floor, and the folder that stands there. */
function place(file) {
  if (TOP.includes(file)) return { floor: FLOORS.length, folder: file };
  for (const [floor, folders] of FLOORS.entries()) {
    const folder = folders.find((folder) => file.startsWith(`${folder}/`));
    if (folder) return { floor, folder };
  }
  if (file.includes("/") && !file.startsWith("style/")) throw new Error(`${file} is on no floor; add its folder to FLOORS in www/build/layers.mjs`);
  return { floor: -1, folder: file };
}

/** The scripts and styles under a folder, relative to www/. */
function files(folder = "") {
  return readdirSync(join(www, folder)).flatMap((name) => {
    const path = join(folder, name);
    if (path === "build" || path === "public") return [];
    if (statSync(join(www, path)).isDirectory()) return files(path);
    return /\.(ts|css)$/.test(name) ? [path] : [];
  });
}

const all = new Set(files());

/** What a script imports of the page's own, once each. */
function imports(file) {
  if (!file.endsWith(".ts")) return [];
  const text = readFileSync(join(www, file), "utf8").replace(/^\s*(\/\/|\*|\/\*\*).*$/gm, "");
  const found = [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"(\.[^"?]*)(\?[^"]*)?"/g)].map(([, path, query]) => {
    const at = normalize(join(dirname(file), path));
    // a worker is started, not imported: it shares nothing but messages
    if (query?.startsWith("?worker")) return null;
    return [at, `${at}.ts`, `${at}/index.ts`].find((path) => all.has(path)) ?? outside(file, at);
  });
  return [...new Set(found.filter((path) => path !== null))];
}

/** What the page takes from elsewhere. */
const ELSEWHERE = ["../crate/dataset/builtin.jsonl", "../crate/cli/report/template.html"];

function outside(file, path) {
  if (ELSEWHERE.includes(path)) return null;
  throw new Error(`${file} imports ${path}, which is not there`);
}

/** Everything wrong, one line each. */
export function violations(graph, placeOf = place) {
  const wrong = [];
  for (const [file, targets] of graph) {
    const from = placeOf(file);
    for (const target of targets) {
      const to = placeOf(target);
      if (to.floor > from.floor || (to.floor === from.floor && to.folder !== from.folder && to.floor >= 0)) {
        wrong.push(`${file} must not import ${target}: ${to.folder} is ${to.floor > from.floor ? "above" : "beside"} it`);
      }
    }
  }
  return [...wrong, ...circles(graph)];
}

/** A line for each import that closes a circle. */
function circles(graph) {
  const [found, done] = [[], new Set()];
  const walk = (file, path) => {
    if (path.includes(file)) {
      found.push(`a circle: ${[...path.slice(path.indexOf(file)), file].join(" → ")}`);
      return;
    }
    if (done.has(file)) return;
    for (const target of graph.get(file) ?? []) walk(target, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) walk(file, []);
  return found;
}

/** The page as it is. */
export function page() {
  return new Map([...all].sort().map((file) => [file, imports(file)]));
}

if (relative(process.argv[1] ?? "", fileURLToPath(import.meta.url)) === "") {
  const wrong = violations(page());
  for (const line of wrong) console.error(line);
  process.exitCode = wrong.length ? 1 : 0;
}
