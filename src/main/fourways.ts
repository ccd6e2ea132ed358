#!/usr/bin/env node
/**
 * The program `fourways`. Loads nothing but Node's own modules before it has
 * looked at the version of Node: the rest may be a syntax error to an old one.
 */
import process from 'node:process';

const NODE_MIN = [24, 12] as const;

function isFreshEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]);
}

async function main(): Promise<number> {
  const { keepCompiledCode } = await import('./compile-cache.ts');
  keepCompiledCode();
  const [{ runCommand }, { terminalIo }] = await Promise.all([import('../cli/main.ts'), import('./terminal.ts')]);
  const io = terminalIo({
    up: async (options) => (await import('./up-command.ts')).upCommand(options),
    control: async (options) => (await import('./control-command.ts')).controlCommand(options),
    gateway: async (options) => (await import('./gateway-command.ts')).gatewayCommand(options),
    sidecar: async (options) => (await import('./sidecar-command.ts')).sidecarCommand(options),
    run: async (options) => (await import('./sidecar-command.ts')).runCommandBeside(options),
  });
  return runCommand(process.argv.slice(2), io);
}

if (isFreshEnough(process.versions.node)) {
  // Timers of the clock do not keep the process alive (base/clock.ts), and a command may wait for nothing else: "check"
  // looks a second time at a broken file that was just written.
  const alive = setInterval(() => undefined, 2 ** 30);
  try {
    process.exitCode = await main();
  } finally {
    clearInterval(alive);
  }
} else {
  const found = `v${process.versions.node} at ${process.execPath}`;
  process.stderr.write(`Cannot start Fourways: Node.js ${NODE_MIN.join('.')} or newer is needed, found ${found}\n`);
  process.exitCode = 1;
}
