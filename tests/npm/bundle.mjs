// Bundles the driver and the pages with one major of the AI SDK: `node bundle.mjs 6 OUT` writes
// OUT/driver.cjs and OUT/page/*. "ai" and "@ai-sdk/react" mean that major everywhere, in Trigger.dev's
// SDK too, so one installation serves all of them.

import { cp } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";

const [major, out] = process.argv.slice(2);
const here = import.meta.dirname;

const common = {
  absWorkingDir: here,
  bundle: true,
  alias: { ai: `ai${major}`, "@ai-sdk/react": `react${major}` },
  logLevel: "warning",
  // a name that an older major does not have reads as undefined
  logOverride: { "import-is-undefined": "silent" },
};

await Promise.all([
  build({
    ...common,
    entryPoints: ["drive/main.mjs"],
    outfile: join(out, "driver.cjs"),
    platform: "node",
    format: "cjs",
  }),
  build({
    ...common,
    entryPoints: ["quickstart", "durable", "hooks", "ui-stream", "approvals"].map((name) => `page/${name}.tsx`),
    outdir: join(out, "page"),
    format: "esm",
    external: ["node:*"], // behind a dynamic import that browsers never take
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
  }),
  cp(join(here, "page/page.html"), join(out, "page/page.html")),
]);
