// Makes fairway-chat.js of the modules here: one script, no dependency, nothing to install.
//   node build.mjs          writes it
//   node build.mjs --check  fails when it is out of date, or larger than 30 KB compressed

import { readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const here = new URL(".", import.meta.url);
const target = new URL("../fairway-chat.js", here);
const MODULES = ["words", "dom", "session", "link", "thread", "parts", "style", "view", "index"];
const LIMIT = 30 * 1024;

// Each module keeps a scope of its own, so that a name in one never hides a name, or a browser's own word, in another.
const bodies = MODULES.map((name) => {
  const source = readFileSync(new URL(`${name}.js`, here), "utf8");
  const exported = [...source.matchAll(/^export (?:const|class|function|async function) (\w+)/gm)].map((m) => m[1]);
  const body = source
    .replace(/^import (\{[^}]+\}) from "\.\/(\w+)\.js";\n/gm, "const $1 = $$$2;\n")
    .replace(/^export /gm, "")
    .replace(/^\s*\/\/.*\n/gm, "")
    .replace(/^\n+/gm, "")
    .replace(/^ +/gm, (spaces) => " ".repeat(spaces.length / 2));
  return `const $${name} = (() => {\n${body}return { ${exported.join(", ")} };\n})();\n`;
});
const head = "// Fairway web chat. Made by widget/build.mjs from widget/*.js; do not edit. Apache-2.0\n";
const whole = `${head}(() => {\n"use strict";\n${bodies.join("")}})();\n`;

const size = gzipSync(whole, { level: 9 }).length;
if (size > LIMIT) throw new Error(`fairway-chat.js has ${size} bytes compressed; the limit is ${LIMIT}`);
if (process.argv.includes("--check")) {
  if (readFileSync(target, "utf8") !== whole) throw new Error("fairway-chat.js is out of date: run node adapters/webchat/widget/build.mjs");
} else {
  writeFileSync(target, whole);
}
console.log(`fairway-chat.js: ${whole.length} bytes, ${size} compressed`);
