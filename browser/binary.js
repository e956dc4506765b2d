// Starts the programs of this repository as child processes, on free ports.

import { spawn } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline";

/** The folder of the programs. The variable has no prefix `HUMAN_CHECK_`, because the programs refuse unknown variables with it. */
export const PROGRAMS = process.env.PROGRAMS || path.resolve(import.meta.dirname, "../target/debug");

/**
 * Starts a program, by default `human-check`, and waits for the first line of its output for which `ready` returns a value.
 *
 * @returns the value of `ready` as `started`, and `stop`, which ends the program and waits for it
 */
export async function start(args, ready, env = {}, program = "human-check") {
  const child = spawn(path.join(PROGRAMS, program), args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const stop = () => { child.kill(); return ended; };
  let errors = "";
  child.stderr.on("data", (text) => { errors = (errors + text).slice(-4000); });
  const started = await new Promise((resolve, reject) => {
    child.once("error", reject);
    ended.then((code) => reject(new Error(`${[program, ...args].join(" ")} ended with ${code}: ${errors}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const value = ready(line);
      if (value) { resolve(value); }
    });
  });
  return { started, stop };
}

/** Starts an emulator of the providers. Returns its address, its accounts and its control API. */
export async function startEmulator() {
  const { started, stop } = await start(["emulate", "--json", "--addr", "127.0.0.1:0"], JSON.parse);
  const base = started.base_url;
  async function post(command, body) {
    const reply = await fetch(`${base}/emulator/${command}`, { method: "POST", body: JSON.stringify(body) });
    const result = await reply.json();
    if (!reply.ok) { throw new Error(`emulator: ${result.error}`); }
    return result;
  }
  return {
    base,
    stop,
    /** The first emulated account of a provider. */
    site: (provider) => started.accounts.find((site) => site.provider === provider),
    /** Sets all settings. Omitted ones get their default. */
    knobs: (knobs) => post("knobs", knobs),
    fail: (fault, times) => post("fail", { fault, times }),
    heal: () => post("heal"),
    mint: async (options) => (await post("mint", options)).token,
    /** Returns method and path of all requests so far. */
    requests: async () => (await fetch(`${base}/emulator/requests`)).json(),
  };
}
