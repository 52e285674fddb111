// What bench/in_browser.mjs computes without a browser; tests/browser/bench.test.mjs checks it.

/** `whole` with what stands between its two marks replaced. */
export function between(whole, mark, text) {
  const parts = whole.split(mark);
  if (parts.length !== 3) throw new Error(`${parts.length - 1} lines ${mark}, not two`);
  return `${parts[0]}${mark}\n${text}\n${mark}${parts[2]}`;
}

/** Texts' token ids in batches of like length: which texts, their ids, and the longest's length. */
export function inBatches(ids, size) {
  const order = ids.map((_, at) => at).sort((a, b) => ids[a].length - ids[b].length);
  const batches = [];
  for (let start = 0; start < order.length; start += size) {
    const texts = order.slice(start, start + size);
    batches.push({ texts, ids: texts.map((at) => ids[at]), width: ids[texts.at(-1)].length });
  }
  return batches;
}

const median = (numbers) => {
  const sorted = [...numbers].sort((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
};

/** Of a program's runs, each of which tried the same settings: the one with the smallest median of seconds. */
export function fastest(runs) {
  const medians = runs[0].settings.map(({ setting }, at) => ({ setting, seconds: median(runs.map(({ settings }) => settings[at].seconds)) }));
  return medians.reduce((best, one) => (one.seconds < best.seconds ? one : best));
}

/** The largest relative difference of two lists of lists of numbers. */
export function apart(found, wanted) {
  return Math.max(...wanted.flatMap((row, at) => row.map((value, n) => Math.abs(found[at][n] / value - 1))));
}

/** The table as Markdown. Programs of one count of threads are compared with saescope's page on as many workers. */
export function table({ programs, texts, head, rounds }) {
  const measured = programs.map((program) => ({ ...program, ...fastest(program.runs) }));
  const own = (count) => measured.find((program) => program.name.startsWith("saescope") && program.count === count);
  const lines = measured.map(({ name, form, count, setting, seconds, apart, runs }) => {
    const others = Math.max(...runs.map((run) => run.others)).toFixed(2);
    const ours = name.startsWith("saescope") ? "" : `${(seconds / own(count).seconds).toFixed(2)} times as fast`;
    return `| ${name} | ${form} | ${count} | ${(texts / seconds).toFixed(1)} | ${ours} | ${apart === undefined ? "" : apart.toExponential(1)} | ${setting} | ${others} |`;
  });
  const lost = measured.filter(({ count, seconds }) => seconds < own(count).seconds).map(({ name, form, count }) => `${name} ${form}, ${count}`);
  const said = lost.length ? `Faster than saescope's page: ${lost.join("; ")}.` : "None is faster than saescope's page.";
  return [
    `${head}; ${texts} texts, ${rounds} round${rounds > 1 ? "s" : ""} in turn.`,
    "",
    "| | weights | workers or threads | texts/s | saescope on as many is | norms apart | setting | others |",
    "|---|---|---:|---:|---:|---:|---|---:|",
    ...lines,
    "",
    `${said} Token counts are equal. Norms apart: the largest relative difference of a residual's norm from that of the page, over all texts and three layers. Others: processors that were busy meanwhile beside the browser's pages, at most.`,
  ].join("\n");
}
