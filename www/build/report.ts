// Makes the report's template of its built script and style: one document whose policy allows those two and
// nothing else, by their hashes. What a run says can therefore never become a script, wherever it stands.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Plugin } from "vite";
import { codeFromStrings } from "./strings.ts";

/** What the program puts the run in the place of; crate/cli/report.rs has the same. */
const PLACE = "<!--run-->";

const hash = (text: string): string => createHash("sha256").update(text, "utf8").digest("base64");

/** Puts `text` where the one `<!--name-->` is. */
function put(html: string, name: string, text: string): string {
  const parts = html.split(`<!--${name}-->`);
  if (parts.length !== 2) throw new Error(`the report's frame: expected one place for the ${name}, found ${parts.length - 1}`);
  return parts.join(text);
}

/** The template from the frame `html`. */
export function template(html: string, script: string, style: string): string {
  const wrong = codeFromStrings(script).map((code) => `code from a string: ${code.slice(0, 200)}`);
  // either would end the element, or hide its end
  if (/<\/script|<script|<!--/i.test(script)) wrong.push("the script has what ends or hides a script element");
  if (/<\/style|@import|url\(/i.test(style)) wrong.push("the style ends its element, or asks for a file");
  if (wrong.length > 0) throw new Error(`the report: ${wrong.join("\n")}`);
  const frame = html
    .replace(/>\s*\n\s*/g, ">\n")
    .replace(/\n{2,}/g, "\n")
    .trim();
  const made = put(put(put(put(frame, "script hash", hash(script)), "style hash", hash(style)), "style", style), "script", script);
  if (made.split(PLACE).length !== 2) throw new Error(`the report: expected one ${PLACE}`);
  return `${made}\n`;
}

/** Writes template.html in the place of all that was built. */
export function reportTemplate(frame: string): Plugin {
  return {
    name: "saescope-report",
    apply: "build",
    enforce: "post",
    generateBundle(_options, bundle) {
      let [script, style] = ["", ""];
      for (const [name, file] of Object.entries(bundle)) {
        delete bundle[name];
        if (file.type === "chunk") {
          if (script !== "") this.error(`expected one script, found ${name} too`);
          script = file.code;
        } else if (name.endsWith(".css")) style += String(file.source);
        else this.error(`expected script and style, found ${name}`);
      }
      const source = template(readFileSync(frame, "utf8"), script.trim(), style.trim());
      this.emitFile({ type: "asset", fileName: "template.html", source });
    },
  };
}
