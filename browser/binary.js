// The project's programs as child processes, on ports of their own choice.

import { spawn } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline";

/** Where cargo puts them. Not named `HUMAN_CHECK_…`, of which the programs refuse what they do not know. */
const PROGRAMS = process.env.PROGRAMS || path.resolve(import.meta.dirname, "../target/debug");

/**
 * Starts a program, by default `human-check`, and waits for the first line of its output that `ready` makes something of.
 *
 * @returns what `ready` made, and `stop` to end the program and wait until it is gone
 */
export async function start(args, ready, env = {}, program = "human-check") {
  const child = spawn(path.join(PROGRAMS, program), args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const gone = new Promise((resolve) => child.once("close", resolve));
  const stop = () => { child.kill(); return gone; };
  let complaint = "";
  child.stderr.on("data", (text) => { complaint = (complaint + text).slice(-4000); });
  const started = await new Promise((resolve, reject) => {
    child.once("error", reject);
    gone.then((code) => reject(new Error(`${[program, ...args].join(" ")} ended with ${code}: ${complaint}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const made = ready(line);
      if (made) { resolve(made); }
    });
  });
  return { started, stop };
}

/** An emulator of the providers: where it is, its keys, and its orders. */
export async function startEmulator() {
  const { started, stop } = await start(["emulate", "--json", "--addr", "127.0.0.1:0"], JSON.parse);
  const base = started.base_url;
  async function post(order, body) {
    const reply = await fetch(`${base}/emulator/${order}`, { method: "POST", body: JSON.stringify(body) });
    const answer = await reply.json();
    if (!reply.ok) { throw new Error(`emulator: ${answer.error}`); }
    return answer;
  }
  return {
    base,
    stop,
    /** Our own site at a provider. */
    site: (provider) => started.sites.find((site) => site.provider === provider),
    /** Sets every knob, those left out to their default. */
    knobs: (knobs) => post("knobs", knobs),
    fail: (fault, times) => post("fail", { fault, times }),
    heal: () => post("heal"),
    mint: async (order) => (await post("mint", order)).token,
    /** Method and path of all that was asked so far. */
    requests: async () => (await fetch(`${base}/emulator/requests`)).json(),
  };
}
