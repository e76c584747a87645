// JSON lines on stdin and stdout: {id, method, params} is answered by {id, result} or {id, error}. Calls
// run side by side, so one may wait for a text to arrive while another stops the answer.

import { createInterface } from "node:readline";

// What the clients log must not end up among the answers.
console.log = console.info = console.debug = console.error;

export function serve(methods) {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => answer(methods, JSON.parse(line)));
  lines.on("close", () => process.exit(0));
}

async function answer(methods, { id, method, params }) {
  try {
    write({ id, result: (await methods[method](params)) ?? null });
  } catch (error) {
    write({ id, error: describe(error) });
  }
}

export function describe(error) {
  const { name, message, status, code } = error;
  return { name, message, status, code };
}

function write(value) {
  process.stdout.write(JSON.stringify(value) + "\n");
}
