// The page that a load test writes, as a person sees it: on a telephone and on a desk, by day and by night. axe-core finds nothing
// to mend, nothing scrolls sideways, every chart says its units, and the limit has its line.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const { CHROMIUM, FAIRWAY_BIN, FOLDER, SCREENSHOTS } = process.env;
const AXE = readFileSync(fileURLToPath(import.meta.resolve("axe-core")), "utf8");

const SCENARIO = `# Does the page show what happened?
seconds = 14
settle_seconds = 60
seed = 3
[[provider]]
name = "telegram"
limit = 20
receipts = true
[inbound]
arrival = { shape = "poisson", rate = 20 }
[[outbound]]
by = "api"
lane = "urgent"
arrival = { shape = "constant", rate = 5 }
[[outbound]]
by = "batch"
messages = 60
`;

const tool = `${dirname(FAIRWAY_BIN)}/fairway-loadtest`;
function run(...args) {
  const { status, stdout, stderr } = spawnSync(tool, args, { cwd: FOLDER, encoding: "utf8", env: { ...process.env, CARGO: undefined } });
  assert.equal(status, 0, `${args.join(" ")}:\n${stdout}${stderr}`);
}

// A run with faults, and a search for the limit: between them they have every section.
writeFileSync(`${FOLDER}/shown.toml`, SCENARIO);
run("chaos", "--scenario", "shown.toml", "--mishaps", "kill,throttle", "--out", "rough");
run("capacity", "--scenario", "shown.toml", "--step", "2", "--minutes", "1", "--scale", "4", "--p99", "60000", "--out", "limit");
const pages = ["rough", "limit"].map((folder) => {
  const name = readdirSync(`${FOLDER}/${folder}`).find((file) => file.endsWith(".html"));
  return [folder, `${FOLDER}/${folder}/${name}`];
});
const faults = JSON.parse(readFileSync(pages[0][1].replace(/html$/, "json"), "utf8")).faults;
assert.ok(faults.some((fault) => fault.what === "kill"), JSON.stringify(faults));

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
for (const [name, file] of pages) {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [360, 1280]) {
      const where = `${name}, ${colorScheme}, ${width} px`;
      const page = await browser.newPage({ colorScheme, viewport: { width, height: 800 } });
      const asked = [];
      page.on("request", (request) => asked.push(request.url()));
      await page.goto(pathToFileURL(file).href);
      assert.equal(asked.length, 1, `${where}: the page needs nothing else, and asked for ${asked.slice(1)}`);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), `${where}: it scrolls sideways`);
      const charts = await page.locator("figure > svg").all();
      assert.ok(charts.length >= 4, `${where}: ${charts.length} charts`);
      for (const chart of charts) {
        const words = await chart.locator("text").allTextContents();
        const units = words.filter((w) => /seconds|per second|MiB|cores|percent|microseconds/.test(w));
        assert.ok(units.length >= 2, `${where}: a chart whose axes say ${words}`);
      }
      assert.ok((await page.locator("svg .limit").count()) > 0, `${where}: the limit has a line`);
      await page.evaluate(AXE);
      const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
      const told = violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html.slice(0, 120)).slice(0, 3).join(" | ")}`);
      assert.deepEqual(told, [], `${where}: ${told.join("\n")}`);
      assert.ok(passes.length > 10, "axe-core looked");
      if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/report-${name}-${colorScheme}-${width}.png`, fullPage: true });
      await page.close();
    }
  }
}
await browser.close();
console.log("report: two pages, light and dark, 360 and 1280 px: nothing to mend");
