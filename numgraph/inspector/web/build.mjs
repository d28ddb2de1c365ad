// Bundles the scripts of the page into page.js, which is committed: `make page`. Its first line has the digest of what
// it was made of, which a test compares.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { build } from "esbuild";

const digest = createHash("sha256");
for (const name of readdirSync("src").sort()) digest.update(readFileSync(`src/${name}`));

await build({
  entryPoints: ["src/main.js"],
  outfile: "page.js",
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2021",
  charset: "utf8",
  banner: { js: `/* made of src by "make page": ${digest.digest("hex")}; contains dagre, see LICENSES.txt */` },
});
