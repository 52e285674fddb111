// A static host: as plain as they come (no special headers, the page under a folder of its own), or
// with headers, or with packed copies only. It can be told to behave badly.

import { createServer } from "node:http";
import { createReadStream, existsSync, statSync } from "node:fs";
import { extname, join, normalize, sep } from "node:path";
import { dist, golden } from "./paths.mjs";

const KINDS = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
  ".webmanifest": "application/manifest+json",
};

/** The page's place on the host: any folder must do. */
export const PAGE = "/some/folder/";
/** The tiny models' place. */
export const GOLDEN = "/golden/";

/**
 * Starts a host on 127.0.0.1. `faults` may be changed while it runs:
 *  - `truncate`: { match: RegExp, share: number, broken?: boolean }: the body ends after that share,
 *    as if that were all; `broken`: the connection does
 *  - `noRanges`: ranges are ignored, as simple hosts do
 *  - `wait`: { match: RegExp, ms: number }: answers late
 *  - `gone`: RegExp: answers 404
 *  - `broken`: RegExp: ends the connection without an answer
 *  - `headers`: { match: RegExp, headers: Record<string, string> }: sent besides
 *  - `replace`: { match: RegExp, body: string | Buffer, kind?: string }: answers with that
 * @param {object} [options]
 * @param {string} [options.page] the page's folder
 * @param {string} [options.folder] its place on the host
 * @param {Record<string, string>} [options.headers] sent with every answer
 * @param {boolean} [options.gzip] what has a `.gz` beside it is sent as that and nothing else,
 *   whole whatever range is asked for
 */
export async function serve({ page = dist, folder = PAGE, headers: always = {}, gzip = false } = {}) {
  const faults = {};
  /** @type {{ path: string, range: string | undefined, encoding: string | undefined }[]} */
  const requests = [];
  const roots = [
    [folder, page],
    [GOLDEN, golden],
  ];
  const end = (response, status, body = "", kind = undefined) => {
    const headers = { ...always, "Content-Length": Buffer.byteLength(body) };
    if (kind) headers["Content-Type"] = kind;
    response.writeHead(status, headers);
    response.end(body);
  };

  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://x").pathname);
    const range = request.headers.range;
    const note = { path, range, encoding: undefined };
    requests.push(note);
    if (faults.wait?.match.test(path)) await new Promise((done) => setTimeout(done, faults.wait.ms));
    if (faults.broken?.test(path)) return request.socket.destroy();
    if (faults.gone?.test(path)) return end(response, 404);
    if (faults.replace?.match.test(path)) return end(response, 200, faults.replace.body, faults.replace.kind);
    const place = roots.find(([prefix]) => path.startsWith(prefix));
    if (!place) return end(response, 404);
    let file = normalize(join(place[1], path.slice(place[0].length)));
    if (!(file + sep).startsWith(normalize(place[1] + sep))) return end(response, 404);
    let size;
    try {
      if (statSync(file).isDirectory()) file = join(file, "index.html");
      size = statSync(file).size;
    } catch {
      return end(response, 404);
    }
    const headers = { ...always, "Content-Type": KINDS[extname(file)] ?? "application/octet-stream" };
    if (faults.headers?.match.test(path)) Object.assign(headers, faults.headers.headers);
    let [start, stop, status] = [0, size, 200];
    if (gzip && existsSync(`${file}.gz`)) {
      file += ".gz";
      stop = statSync(file).size;
      headers["Content-Encoding"] = note.encoding = "gzip";
    } else if (!faults.noRanges) {
      headers["Accept-Ranges"] = "bytes";
      const part = /^bytes=(\d*)-(\d*)$/.exec(range ?? "");
      if (part && (part[1] || part[2])) {
        start = part[1] ? Number(part[1]) : Math.max(0, size - Number(part[2]));
        stop = part[1] && part[2] ? Math.min(size, Number(part[2]) + 1) : size;
        if (start >= stop) return end(response, 416);
        status = 206;
        headers["Content-Range"] = `bytes ${start}-${stop - 1}/${size}`;
      }
    }
    const truncate = faults.truncate?.match.test(path) ? faults.truncate : null;
    // a length that is then not kept would be a broken connection
    if (!truncate || truncate.broken) headers["Content-Length"] = stop - start;
    response.writeHead(status, headers);
    if (request.method === "HEAD" || start === stop) return response.end();
    const cut = truncate ? start + Math.floor((stop - start) * truncate.share) : stop;
    const stream = createReadStream(file, { start, end: Math.max(start, cut) - 1 });
    stream.on("error", () => response.destroy());
    if (cut < stop && truncate?.broken) {
      stream.on("data", (piece) => response.write(piece));
      stream.on("end", () => setTimeout(() => response.destroy(), 20));
    } else {
      stream.pipe(response);
    }
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const origin = `http://127.0.0.1:${server.address().port}`;
  return {
    origin,
    url: origin + folder,
    golden: origin + GOLDEN,
    faults,
    requests,
    close: () => new Promise((done) => (server.close(done), server.closeAllConnections())),
  };
}
