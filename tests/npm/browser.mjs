// Debian's chromium, driven from Python: see tests/support/browser.py.

import { chromium } from "playwright-core";
import { serve } from "./drive/rpc.mjs";

// Without these a browser under test calls its maker's hosts all the time; root has no sandbox.
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"].concat(
  ["--disable-background-networking", "--disable-component-update"],
);

const pages = new Map();
const executablePath = process.argv[2];
const browser = chromium.launch({ executablePath, args });

// A page with an empty storage of its own; `problems` collects what its console complains of.
async function open({ name, url }) {
  const page = await (await (await browser).newContext()).newPage();
  page.setDefaultTimeout(20_000);
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  pages.set(name, { page, problems });
  await page.goto(url);
}

const at = ({ name }) => pages.get(name).page;

serve({
  open,
  close: (it) => at(it).context().close(),
  reload: async (it) => void (await at(it).reload()),
  type: (it) => at(it).locator(it.into).fill(it.text),
  press: (it) => at(it).keyboard.press(it.key),
  click: (it) => at(it).getByRole("button", { name: it.button }).click(),
  texts: (it) => at(it).locator(it.selector).allInnerTexts(),
  // Waits until the last element that matches contains `text`.
  sees: (it) => at(it).locator(`${it.selector} >> nth=-1`).filter({ hasText: it.text }).waitFor(),
  evaluate: (it) => at(it).evaluate(it.script),
  screenshot: async (it) => void (await at(it).screenshot({ path: it.path })),
  problems: ({ name }) => pages.get(name).problems,
});
