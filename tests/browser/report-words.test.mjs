// What a report says of its run, and counts: without a browser.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runnerImport } from "vite";
import { root } from "./harness/paths.mjs";

const load = async (path) => (await runnerImport(path, { root, configFile: false, logLevel: "error" })).module;
const { signTest, qValues, FEWEST_DISCORDANT } = await load("./www/report/exact.ts");
const { tested } = await load("./www/report/presence.ts");
const { featureLines, wordsOf: featureWords } = await load("./www/views/results/featureLines.ts");
const { captionOf, overLayers, probeWords, readsOf } = await load("./www/views/results/classifierWords.ts");
const { verdictWords: headParts } = await load("./www/views/results/verdictWords.ts");
const { ghostsByLayer, ghostWords } = await load("./www/views/results/ghosts.ts");
const { captionOf: forestCaption } = await load("./www/report/forest.ts");
const { wordsOf: calibrationWords } = await load("./www/views/results/calibration.ts");
const { density, resampledMeans } = await load("./www/report/bootstrap.ts");
const { clustersOf, clustersOfRows } = await load("./www/report/clusters.ts");
const { wordsOf } = await load("./www/report/words.ts");
const { Table } = await load("./www/data/table.ts");
const { presenceOf } = await load("./www/data/presence.ts");

/** What the page's head says over its verdicts. */
const verdictWords = (run) => headParts(run).join(" ");

/** A run with these rows in stats.parquet, over all samples. */
function runOf(rows, n = 100) {
  const columns = [...new Set(rows.flatMap(Object.keys))].map((name) =>
    typeof rows.find((row) => name in row)[name] === "string"
      ? { name, kind: "text", values: rows.map((row) => row[name] ?? "") }
      : { name, kind: "float", values: Float64Array.from(rows, (row) => row[name] ?? NaN) },
  );
  const tokens = ["n_tokens_fact", "n_tokens_hall"].map((name) => ({ name, kind: "int", values: new Float64Array(n).fill(9) }));
  return { stats: new Table({ rows: rows.length, columns, schemaVersion: 3 }), metrics: new Table({ rows: n, columns: tokens, schemaVersion: 3 }), domains: ["a", "b"] };
}

const row = (metric, verdict, more = {}) => ({ metric, domain: "all", verdict, n: 100, mean_diff: 1, hedges_g: 0.5, ci_low: 0.5, ci_high: 1.5, q_value: 0.01, ...more });

test("the headline claims no more than the verdicts", () => {
  const headline = (...verdicts) => wordsOf(runOf(verdicts.map((verdict, i) => row(`l6_m${i}`, verdict)))).headline;
  assert.equal(headline("no_difference", "no_difference"), "No metric separates fact from hallucination, before the length control or after it.");
  assert.equal(headline("no_difference", "undecided"), "No metric is shown to separate fact from hallucination, before the length control or after it.");
  assert.equal(headline("explained_by_length", "undecided"), "No metric is shown to separate fact from hallucination after the length control.");
  assert.equal(headline("explained_by_length", "no_difference"), "No metric separates fact from hallucination after the length control.");
  // what has no control may yet be a difference
  assert.equal(headline("explained_by_length", "no_length_control"), "No metric is shown to separate fact from hallucination after the length control.");
  assert.equal(headline("survives_length_control", "no_difference", "too_few_samples"), "1 of 2 metrics differs between fact and hallucination at equal length.");
  assert.match(headline("too_few_samples", "no_variation"), /^Nothing can be said/);
  assert.match(wordsOf({ ...runOf([row("l6_m", "control")]), stats: null }).headline, /^Nothing is compared/);
});

test("a forest of nothing found says no more than that", () => {
  const found = (...verdicts) => forestCaption(verdicts.map((verdict) => ({ verdict, adjusted: 0.1 })));
  assert.equal(found("no_difference", "undecided", "undecided", "control"), "In none of these 3 metrics is a difference between fact and hallucination found (q ≤ 0.05), 2 of them undecided.");
  assert.equal(found("no_difference"), "In none of these 1 metric is a difference between fact and hallucination found (q ≤ 0.05).");
  assert.match(found("explained_by_length", "undecided"), /^Of 2 metrics, 0 survive the length control, 1 are explained by length/);
});

/** z-scores of a run with nulls, by their place. */
const Z = ["l6_sphericity_random_rows_z", "l6_elongation_permuted_z", "l14_dimensionality_random_dictionary_z"];

test("metrics and z-scores against nulls are counted apart", () => {
  const of = (metrics, scores) => runOf([...metrics.map((verdict, i) => row(`l6_m${i}`, verdict)), ...scores.map((verdict, i) => row(Z[i], verdict))]);
  const [survives, nothing, explained] = ["survives_length_control", "no_difference", "explained_by_length"];
  const told = (metrics, scores) => wordsOf(of(metrics, scores));
  assert.equal(told([nothing, nothing], [nothing, nothing, nothing]).headline, "No metric or z-score against nulls separates fact from hallucination, before the length control or after it.");
  assert.equal(told([survives, nothing], [nothing]).headline, "1 of 2 metrics and none of 1 z-score against nulls differ between fact and hallucination at equal length.");
  assert.equal(told([nothing], [survives, survives, nothing]).headline, "None of 1 metric and 2 of 3 z-scores against nulls differ between fact and hallucination at equal length.");
  assert.match(told([nothing, nothing], [nothing, nothing, nothing]).paragraphs[0], /^In none of 2 metrics and 3 z-scores against nulls is a difference /);
  assert.match(told([explained, nothing], [nothing, explained]).paragraphs[0], /^1 of 2 metrics and 1 of 2 z-scores against nulls differ between fact and hallucination over all samples or at equal length \(q ≤ 0\.05\): 2 are explained by text length\.$/);
  assert.match(forestCaption([{ metric: "l6_gini", verdict: nothing, adjusted: 0.1 }, { metric: Z[0], verdict: nothing, adjusted: 0.1 }]), /^In none of these 1 metric and 1 z-score against nulls /);
  // and on the page
  assert.match(verdictWords(of([survives, nothing], [survives, explained])), /^1 of 2 metrics and 2 of 2 z-scores against nulls differ .*; 1 metric and 1 z-score against nulls survive the length control\. /);
});

test("the page counts by the verdicts' rule: what survives is found at equal length, whatever it is raw", () => {
  const words = (...rows) => verdictWords(runOf(rows));
  const hidden = row("l6_a", "survives_length_control", { q_value: 0.4, length_adjusted_q: 0.01 });
  assert.match(words(hidden, row("l6_b", "undecided", { q_value: 0.4 })), /^1 of 2 metrics differs between fact and hallucination over all samples or at equal length \(q ≤ 0\.05\); it survives the length control\. Both texts /);
  assert.match(words(row("l6_a", "explained_by_length"), row("l6_b", "no_length_control"), row("l6_c", "no_variation")), /^2 of 2 metrics differ .*; none survives the length control\. /);
  assert.match(words(row("l6_a", "no_difference", { excluded_dz: 0.2 }), row("l6_b", "undecided", { excluded_dz: 0.4 })), /^In none of 2 metrics is a difference .* \(q ≤ 0\.05\)\. In 1 metric a difference above \|d_z\| 0\.200 is ruled out\. /);
  assert.match(words(row("l6_a", "too_few_samples")), /^Too few samples to compare fact and hallucination: .* this run has 100 samples\. /);
  assert.match(words(row("l6_a", "no_variation"), row("l6_b", "too_few_samples")), /^Fact and hallucination cannot be compared: /);
});

test("what becomes of metrics that survive where other things are held equal is said on the page and in the report", () => {
  const by = (metric, verdict, last_token_verdict, logprob_per_token_verdict) => row(metric, verdict, { last_token_verdict, logprob_per_token_verdict });
  const run = runOf([
    by("l6_a", "survives_length_control", "survives", "explained"), by("l6_b", "survives_length_control", "no_control", "explained"),
    by("l6_c", "explained_by_length", "survives", "survives"),
  ]);
  const wanted = "What becomes of the 2 that survive: at equal last tokens 1 left, 0 explained, 1 neither; at equal log-probability per token 0 left, 2 explained, 0 neither.";
  assert.ok(wordsOf(run).paragraphs[0].endsWith(` ${wanted}`), wordsOf(run).paragraphs[0]);
  assert.ok(verdictWords(run).includes(` ${wanted} `), verdictWords(run));
  // of an earlier run, which has none of these columns
  assert.doesNotMatch(verdictWords(runOf([row("l6_a", "survives_length_control")])), /What becomes/);
});

test("difference columns, token counts and single domains are not counted again", () => {
  const rows = [row("l6_m", "survives_length_control"), row("n_tokens", "control"), { ...row("l6_m", "survives_length_control"), domain: "a" }];
  assert.match(wordsOf(runOf(rows)).headline, /^1 of 1 metric differs/);
});

test("what would have been seen, and what is ruled out, is the file's", () => {
  const words = (rows, n) => wordsOf(runOf(rows, n)).paragraphs.join(" ");
  const plain = words([row("l6_m", "no_difference")]);
  // (1.96 + 0.84) / 10
  assert.match(plain, /chance of 80 % is \|d_z\| 0\.28 \(100 pairs\)/);
  assert.doesNotMatch(plain, /ruled out/);
  const stored = words([row("l6_a", "no_difference", { detectable_dz: 0.41, excluded_dz: 0.2 }), row("l6_b", "undecided", { detectable_dz: 0.41, excluded_dz: 0.35 })]);
  assert.match(stored, /\|d_z\| 0\.41/);
  assert.match(stored, /above \|d_z\| 0\.3 are ruled out for 1 of 2/);
  assert.match(stored, /1 is undecided: no difference was found, and one of \|d_z\| 0\.3 is not ruled out/);
  // by the bound that the run was judged by; pairs of one cluster count once
  const clustered = row("l6_a", "undecided", { detectable_dz: 0.41, excluded_dz: 0.25, n_clusters: 20, length_detectable_dz: 0.62 });
  const [, told] = wordsOf({ ...runOf([clustered]), manifest: { statistics: { equivalence_bound: 0.2 } } }).paragraphs;
  assert.match(told, /\|d_z\| 0\.41 \(100 pairs in 20 clusters\), at equal length \|d_z\| 0\.62;/);
  assert.match(told, /above \|d_z\| 0\.2 are ruled out for none of 1 metric\. 1 is undecided: .*one of \|d_z\| 0\.2 is not ruled out/);
});

test("survivors are told by size, each with its control", () => {
  const more = (g, adjusted) => ({ hedges_g: g, mean_diff: 1, length_adjusted_diff: adjusted, length_adjusted_ci_low: 0.1, length_adjusted_ci_high: 2, length_adjusted_q: 0.02 });
  const rows = Array.from({ length: 8 }, (_, i) => row(`l6_m${i}`, "survives_length_control", more(0.5, 0.2 + i / 10)));
  const { survivors } = wordsOf(runOf(rows));
  assert.equal(survivors.length, 6);
  assert.match(survivors[0], /m7: g \+0\.500 \(95 % .*\), at equal length \+0\.450 \(.*q 0\.020\)/);
  assert.match(survivors[5], /^and 3 more/);
});

test("the sign test is the binomial's, exactly", () => {
  const choose = (n, k) => Array.from({ length: k }, (_, i) => BigInt(n - i)).reduce((a, b) => a * b, 1n) / Array.from({ length: k }, (_, i) => BigInt(i + 1)).reduce((a, b) => a * b, 1n);
  for (const [a, b] of [[0, 6], [1, 9], [4, 20], [20, 4], [7, 7], [0, 0], [13, 41], [3, 900]]) {
    const n = a + b;
    let tail = 0n;
    for (let k = 0; k <= Math.min(a, b); k++) tail += choose(n, k);
    const exact = Math.min(1, Number((2n * tail * 2n ** 1000n) / 2n ** BigInt(n)) / 2 ** 1000);
    assert.ok(Math.abs(signTest(a, b) - exact) <= 1e-12 * exact + Number.MIN_VALUE, `${a}, ${b}: ${signTest(a, b)} against ${exact}`);
  }
  assert.ok(signTest(0, FEWEST_DISCORDANT) <= 0.05 && signTest(0, FEWEST_DISCORDANT - 1) > 0.05);
});

/** Every pair a cluster of its own, in one domain. */
const alone = (pairs) => clustersOf([...pairs.keys()], pairs.map(() => "a"));

// by dabest, scipy and statsmodels: reference/golden_estimation.py
const golden = JSON.parse(readFileSync(join(root, "tests/golden/estimation.json"), "utf8"));

for (const { name, fact, hall, difference, percentile, spread } of golden.sets) {
  test(`the distribution of ${name} pairs is dabest's`, () => {
    const differences = fact.map((x, i) => hall[i] - x);
    const mean = differences.reduce((a, b) => a + b) / differences.length;
    assert.ok(Math.abs(mean - difference) < 1e-12 * Math.max(1, Math.abs(difference)));
    const means = resampledMeans(differences, alone(differences));
    // within what 5,000 draws of either leave open
    const near = (found, wanted, what) => assert.ok(Math.abs(found - wanted) < 0.12 * spread, `${what}: ${found} against ${wanted}`);
    near(means[Math.floor(0.025 * means.length)], percentile[0], "lower end");
    near(means[Math.floor(0.975 * means.length)], percentile[1], "upper end");
    const centre = means.reduce((a, b) => a + b) / means.length;
    const found = Math.sqrt(means.reduce((sum, x) => sum + (x - centre) ** 2, 0) / means.length);
    assert.ok(Math.abs(found / spread - 1) < 0.05, `${found} against ${spread}`);
  });
}

test("sign tests and q-values are scipy's and statsmodels'", () => {
  const p = golden.sign_test.map(({ pair: [a, b] }) => signTest(a, b));
  golden.sign_test.forEach((one, i) => assert.ok(Math.abs(p[i] - one.p) <= 1e-12 * one.p, `${one.pair}: ${p[i]} against ${one.p}`));
  qValues(p).forEach((q, i) => assert.ok(Math.abs(q - golden.q[i]) <= 1e-12 * golden.q[i], `${q} against ${golden.q[i]}`));
});

test("q-values are Benjamini and Hochberg's", () => {
  const near = (found, wanted) => found.forEach((q, i) => assert.ok(Math.abs(q - wanted[i]) < 1e-12, `${found}`));
  near(qValues([0.01, 0.04, 0.03, 0.005]), [0.02, 0.04, 0.04, 0.02]);
  near(qValues([0.9, 0.001]), [0.9, 0.002]);
  assert.deepEqual(qValues([]), []);
});

test("features are counted pair by pair", () => {
  const part = (text, features) => ({ text, layer: 6, features: Int32Array.from(features), activations: Float32Array.from(features, (f) => f / 2) });
  const samples = { a: [part("fact", [1, 2]), part("hall", [2, 3])], b: [part("fact", [2]), part("hall", [3])], c: [part("prompt", [9])] };
  const index = { sample: (id) => (id in samples ? { sampleId: id, parts: samples[id] } : null) };
  const found = new Map(presenceOf(index, ["a", "b", "c", "a", "gone"]).map((one) => [one.feature, one]));
  assert.deepEqual([...found.keys()].sort(), [1, 2, 3]);
  assert.deepEqual({ ...found.get(2) }, { layer: 6, feature: 2, pairs: 4, fact: 2, hall: 1, factOnly: 1, hallOnly: 0, factMean: 1, hallMean: 1 });
  assert.deepEqual([found.get(3).fact, found.get(3).hall, found.get(3).hallOnly, found.get(3).hallMean], [0, 2, 2, 1.5]);
  assert.ok(Number.isNaN(found.get(3).factMean));
});

test("only features that could be told are tested, the most uneven first", () => {
  const one = (feature, factOnly, hallOnly) => ({ layer: 6, feature, pairs: 50, fact: factOnly, hall: hallOnly, factOnly, hallOnly, factMean: 1, hallMean: 1 });
  const found = tested([one(1, 5, 0), one(2, 3, 3), one(3, 1, 14), one(4, 0, 6)]);
  assert.deepEqual(found.map(({ feature }) => feature), [3, 4, 2]);
  assert.ok(found[0].q >= found[0].p && found[0].q <= 0.05);
});

test("resampled means have the spread of a mean, and are the same each time", () => {
  // a fixed, skewed sample
  const values = Array.from({ length: 120 }, (_, i) => ((i * 37) % 101) ** 2 / 1000);
  const mean = values.reduce((a, b) => a + b) / values.length;
  const sd = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
  const means = resampledMeans(values, alone(values));
  const centre = means.reduce((a, b) => a + b) / means.length;
  const spread = Math.sqrt(means.reduce((sum, x) => sum + (x - centre) ** 2, 0) / means.length);
  const wanted = sd / Math.sqrt(values.length);
  assert.ok(Math.abs(centre - mean) < 0.06 * wanted, `${centre} against ${mean}`);
  assert.ok(Math.abs(spread / wanted - 1) < 0.04, `${spread} against ${wanted}`);
  assert.deepEqual(resampledMeans(values, alone(values)), means);
  assert.ok(means.every((x, i) => i === 0 || x >= means[i - 1]), "ascending");
  const curve = density(means);
  const area = curve.reduce((sum, { height }) => sum + height, 0) * (curve[1].at - curve[0].at);
  assert.ok(Math.abs(area - 1) < 0.02, `a density of area ${area}`);
  assert.deepEqual(density(resampledMeans([3, 3, 3], alone([3, 3, 3]))), [], "nothing varies");
});

test("clusters are drawn whole, within the domains of the statistics", () => {
  // as crate/stats/clusters.rs has them
  const strata = (...sizes) => clustersOf(sizes.flatMap((n, d) => Array.from({ length: n }, (_, i) => `${d} ${i}`)), sizes.flatMap((n, d) => Array(n).fill(`domain ${d}`))).strata.map((one) => one.length);
  assert.deepEqual(strata(12, 60), [12, 60]);
  assert.deepEqual(strata(12, 6, 60, 6), [12, 60, 12]);
  assert.deepEqual(strata(12, 6, 60), [12, 66]);
  assert.deepEqual(strata(3, 4), [7]);
  assert.deepEqual(strata(), []);
  const labelled = clustersOf(["x", "y", "x", "z"], ["a", "a", "b", "a"]);
  assert.deepEqual([labelled.of, labelled.count], [[0, 1, 0, 2], 3]);

  // copies of a sample are no news, unless they are taken for samples
  const values = Array.from({ length: 50 }, (_, i) => (i * 37) % 50);
  const copies = Array.from({ length: 500 }, (_, i) => values[i % 50]);
  const width = (differences, clusters) => {
    const means = resampledMeans(differences, clusters);
    return means[Math.floor(0.975 * means.length)] - means[Math.floor(0.025 * means.length)];
  };
  const [once, ten] = [width(values, alone(values)), width(copies, clustersOf(copies.map((_, i) => i % 50), copies.map(() => "a")))];
  assert.ok(Math.abs(once - ten) < 1e-9, `${once} against ${ten}`);
  assert.ok(width(copies, alone(copies)) < 0.4 * once);
  // what differs between domains is no spread
  const apart = Array.from({ length: 40 }, (_, i) => (i < 20 ? 1 : 9));
  assert.equal(width(apart, clustersOf([...apart.keys()], apart.map((x) => `${x}`))), 0);
  assert.ok(width(apart, alone(apart)) > 1);

  // and the run says which it is
  const cluster = { name: "cluster", kind: "text", values: ["p", "p", "q"] };
  const of = (columns, statistics) => clustersOfRows({ metrics: new Table({ rows: 3, columns, schemaVersion: 4 }), sampleDomains: ["a", "a", "a"], manifest: { statistics } }, [0, 1, 2]).count;
  assert.equal(of([cluster], { clusters: true }), 2);
  assert.equal(of([cluster], { clusters: false }), 3);
  assert.equal(of([], { clusters: true }), 3);
});

/** stats_features.parquet with these rows. */
function featureTable(rows) {
  const names = ["layer", "feature", "n_fact", "n_hall", "n_ghost", "n_missing", "ghost_activation", "presence_q", "cohens_dz", "q_value", "length_adjusted_q", "last_token_adjusted_q"];
  const columns = names.map((name) => ({ name, kind: "float", values: Float64Array.from(rows, (row) => row[name] ?? NaN) }));
  const texts = ["domain", "verdict", "last_token_verdict"].map((name) => ({ name, kind: "text", values: rows.map((row) => row[name] ?? "") }));
  return new Table({ rows: rows.length, columns: [...columns, ...texts], schemaVersion: 4 });
}

test("features stand by their verdicts, and rows of domains are left out", () => {
  const one = (feature, verdict, q, adjusted = NaN) => ({ layer: 6, feature, verdict, q_value: q, length_adjusted_q: adjusted, cohens_dz: 0.3 });
  const lines = featureLines(featureTable([
    one(1, "no_difference", 0.9), one(2, "explained_by_length", 0.001), one(3, "survives_length_control", 0.04, 0.03), one(4, undefined, NaN),
    one(5, "survives_length_control", 0.2, 0.001), one(6, "undecided", 0.3),
  ]));
  assert.deepEqual(lines.map(({ feature }) => feature), [5, 3, 2, 6, 1]);
  assert.match(featureWords(lines), /^Of 5 features that are active in at least six independent samples, 2 survive the length control; 1 is explained by length, 0 have no length control\.$/);
  assert.match(featureWords(lines.slice(3)), /none survives/);
  assert.match(featureWords([]), /^No feature/);
  // and what is left of those that survive where the last token is held equal
  const by = (feature, verdict, last_token_verdict) => ({ ...one(feature, verdict, 0.01, 0.01), last_token_verdict, last_token_adjusted_q: 0.04 });
  const controlled = featureLines(featureTable([
    by(1, "survives_length_control", "survives"), by(2, "survives_length_control", "explained"), by(3, "survives_length_control", "no_control"), by(4, "explained_by_length", "survives"),
  ]));
  assert.deepEqual(controlled[0].controls.map(({ q, verdict }) => [q, verdict]), [[0.04, "survives"], [NaN, ""], [NaN, ""]]);
  assert.match(featureWords(controlled), / What becomes of the 3 that survive: at equal last tokens 1 left, 1 explained, 1 neither\.$/);
});

test("a ghost is told with its activation and its domains", () => {
  const of = (feature, domain, n_ghost, verdict) => ({ layer: 6, feature, domain, n_ghost, verdict });
  const [first, second] = featureLines(featureTable([
    { ...of(1, "all", 7, "survives_length_control"), ghost_activation: 2.5 }, of(1, "dates", 2), of(1, "places", 5), of(1, "names", 0),
    of(2, "all", 0, "undecided"), { ...of(1, "other layer", 3), layer: 14 },
  ]));
  assert.equal(first.meanGhost, 2.5);
  assert.deepEqual(first.ghostIn, [{ domain: "places", n: 5 }, { domain: "dates", n: 2 }]);
  assert.equal(ghostWords(first.ghostIn, 3), "places 5, dates 2");
  assert.equal(ghostWords(first.ghostIn, 1), "places 5, 1 more");
  assert.deepEqual([second.meanGhost, second.ghostIn, ghostWords(second.ghostIn, 3)], [NaN, [], ""]);
  // a domain may be called anything, and its number is not lost behind it
  assert.match(ghostWords([{ domain: `\u202e${"M".repeat(5000)}`, n: 4 }], 1), /^\\u\{202e\}M{50,200}… 4$/);
});

test("ghosts of a layer stand beside missing features and both beside random rows", () => {
  const column = (name, ...values) => ({ name, kind: "float", values: Float64Array.from(values) });
  const run = (...columns) => ({ layers: [6, 14], sampleIds: ["a", "b"], metrics: new Table({ rows: 2, columns, schemaVersion: 4 }) });
  const counts = [column("l6_ghost_count", 4, 6), column("l6_missing_count", 1, 1)];
  assert.equal(ghostsByLayer(run(...counts)), null, "without nulls");
  const { columns, rows } = ghostsByLayer(run(...counts, column("l6_ghost_token_cosine", 0.25, NaN), column("l6_ghost_token_cosine_z", 1.5, NaN), column("l6_missing_token_cosine_z", 1, 2)));
  assert.equal(columns.length, rows[0].length);
  assert.deepEqual(rows, [["6", 5, NaN, 0.25, 1.5, 1, NaN, NaN, 1.5]]);
});

test("a classifier is told beside length, and what chance does", () => {
  const one = (reads, layer, auroc, more = {}) => ({ reads, layer, auroc, samples: 90, samples_at_equal_length: 40, columns: 3, kept: 2, swapped_p: 0.02, ...more });
  const all = [one("features", 6, 0.55), one("l0", 6, 0.8), one("features", 14, 0.61, { auroc_at_equal_length: 0.5 }), one("n_tokens", null, 0.74)];
  const said = captionOf(all);
  assert.match(said, /layer 14 together .* AUROC of 0\.610, the best of 2 layers \(labels swapped at random do worse: p 0\.040, corrected for the 2 layers\); length alone with 0\.740\. At equal length the features’ is 0\.500\.$/);
  const probes = [one("residual", 6, 0.9), one("residual", 14, 0.93), one("residual", 20, null)];
  // 0.02 of each of three is no 5 %
  const ceiling = "A linear probe of the raw residual stream tells hallucinations from facts with an AUROC of 0.930 at layer 14, the best of 3 (with so few swaps, labels swapped at random are not shown to do worse: p 0.060, corrected for the 3 layers).";
  assert.equal(probeWords(probes), ceiling);
  assert.equal(captionOf([...all, ...probes]), `${said} ${ceiling}`);
  assert.equal(captionOf([one("residual", 6, 0.9)]), "There is no classifier by features. A linear probe of the raw residual stream tells hallucinations from facts with an AUROC of 0.900 at layer 6 (labels swapped at random do worse: p 0.020).");
  assert.equal(readsOf(one("residual", 6)), "residual stream, layer 6");
  const chance = probeWords([one("residual", 6, 0.55, { swapped_p: 0.5, auroc_at_equal_length: 0.5 }), one("residual", 14, 0.5, { swapped_p: 0.6 }), one("residual", 20, 0.5)]);
  assert.equal(chance, "A linear probe of the raw residual stream tells hallucinations from facts with an AUROC of 0.550 at layer 6, the best of 3 (labels swapped at random do as well: p 1.000, corrected for the 3 layers); at equal length it is 0.500.");
  assert.equal(probeWords([one("residual", 6, 0.9, { swapped_p: null })]), "A linear probe of the raw residual stream tells hallucinations from facts with an AUROC of 0.900 at layer 6.");
  assert.equal(probeWords(all), "");
  assert.deepEqual([overLayers(one("residual", 6, 0.9), 3), overLayers(one("residual", 6, 0.9, { swapped_p: 0.5 }), 3), overLayers(one("residual", 6, 0.9, { swapped_p: null }), 3)], [0.06, 1, NaN]);
  assert.equal(overLayers(one("residual", 6, 0.9, { swapped_p_over_layers: 0.05 }), 3), 0.05, "of the run itself");
  assert.match(probeWords([one("residual", 6, 0.9, { swapped_p: 0.05, swapped_p_over_layers: 0.3 })]), /\(labels swapped at random do as well: p 0\.300\)/);
  assert.match(captionOf([one("features", 6, 0.5, { swapped_p: 0.5 })]), /\(labels swapped at random do as well: p 0\.500\)\.$/);
  // the page's head and the report's findings have the same sentence
  const run = { ...runOf([row("l6_a", "undecided")]), manifest: { statistics: { classifiers: probes } } };
  assert.ok(verdictWords(run).endsWith(` ${ceiling}`), verdictWords(run));
  assert.ok(wordsOf(run).paragraphs.includes(ceiling), wordsOf(run).paragraphs.join("\n"));
  assert.equal(readsOf(one("l0", 6)), "number of features (L0), layer 6");
  // a file may call it as it likes
  assert.equal(readsOf(one("constructor", null)), "constructor");
});

test("a calibration that fails is told so, in the open", () => {
  const share = (share, low = 0, high = 1) => ({ share, low, high });
  const calibration = (more) => ({ swaps: { swaps: 200, median_chains: 40 }, false_alarms: [], planted: [], positive_controls: [], left_out: [], ...more });
  const said = (more) => calibrationWords(calibration(more)).join(" ");
  const alarms = (survive, holds) => ({ false_alarms: [{ family: "metrics", metrics: 39, runs_survive: share(survive), runs_found: share(0.1), nominal: 0.05, holds }] });
  assert.match(said(alarms(0.2, false)), /which is MORE than the rate that was asked for: verdicts of this run are to be doubted \(5 %\)/);
  assert.match(said(alarms(0.08, true)), /which so few copies cannot tell from the rate/);
  assert.match(said(alarms(0.04, true)), /which is no more than the rate that was asked for/);
  assert.match(said({ ...alarms(0, true), swaps: { swaps: 200, median_chains: 3 } }), /but most copies have too few chains for anything to survive/);
  const trap = (found, explained, survivors) => said({ length_trap: { metrics: 39, found, survive: survivors.length, explained, no_control: 0, survivors } });
  assert.match(trap(5, 0, []), /no answer, since nothing had a control/);
  assert.match(trap(5, 5, []), /none survives its control/);
  assert.match(trap(0, 0, []), /nothing fell into the trap/);
  assert.match(trap(5, 3, ["l6_gini", "l6_entropy"]), /2 SURVIVE: /);
  const control = (seen_by_metrics, seen_by_features, seen_by_probe) =>
    said({ positive_controls: [{ name: "truth", pairs: 102, equal_length: 102, metrics: 39, survive: 0, layers: [{ layer: 6, residual: { auroc: 0.8, p: 0.02, p_corrected: 0.06 }, features: null }], seen_by_metrics, seen_by_features, seen_by_probe }] });
  assert.match(control(true, true, true), /0 of 39 metrics find it at equal length/);
  assert.match(control(false, true, true), /NO METRIC finds it, though the SAE’s features have it/);
  assert.match(control(false, false, true), /NEITHER METRICS NOR THE SAE’S FEATURES find it, though it is in the residual stream/);
  assert.match(control(false, false, false), /nothing finds it, not even a linear probe/);
  assert.match(control(true, true, true), /AUROC 0\.800 at layer 6 \(p 0\.06\d* over layers\) on the residual stream and nothing on the SAE’s features/);
});
