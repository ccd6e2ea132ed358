/** The list of commands. A command is loaded when it runs: `fourways version` must not wait for the compiler. */
import type { Command } from './command.ts';

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

/** In the order of help. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'up',
    summary: 'Run the gateway with the configuration in a file or folder',
    load: async () => (await import('./up.ts')).up,
  },
  {
    name: 'control',
    summary: 'Run the control plane of a mesh alone, without a gateway',
    load: async () => (await import('./control.ts')).control,
  },
  {
    name: 'gateway',
    summary: 'Run a gateway whose configuration comes from a control plane',
    load: async () => (await import('./gateway.ts')).gateway,
  },
  {
    name: 'sidecar',
    summary: 'Run the proxy of a mesh beside an application',
    load: async () => (await import('./sidecar.ts')).sidecar,
  },
  {
    name: 'run',
    summary: 'Run an application together with its sidecar',
    load: async () => (await import('./run.ts')).run,
  },
  {
    name: 'init',
    summary: 'Write a small working configuration to start from',
    load: async () => (await import('./init.ts')).init,
  },
  {
    name: 'check',
    summary: 'Check configuration and report every problem',
    load: async () => (await import('./check.ts')).check,
  },
  {
    name: 'show',
    summary: 'Show what a configuration is made of, or what is served',
    load: async () => (await import('./show.ts')).show,
  },
  {
    name: 'routes',
    summary: 'List all routes in the order in which they are tried',
    load: async () => (await import('./routes.ts')).routes,
  },
  {
    name: 'explain',
    summary: 'Show what would become of a request, and why',
    load: async () => (await import('./explain.ts')).explain,
  },
  {
    name: 'filters',
    summary: 'List every filter in the order in which requests meet them',
    load: async () => (await import('./filters.ts')).filters,
  },
  {
    name: 'status',
    summary: 'Show how a running Fourways is',
    load: async () => (await import('./status.ts')).status,
  },
  {
    name: 'doctor',
    summary: 'Look for what is wrong with this machine and the Fourways on it, and say what to do',
    load: async () => (await import('./doctor.ts')).doctor,
  },
  {
    name: 'certs',
    summary: 'List every certificate, until when, and from where; rotate those of a mesh',
    load: async () => (await import('./certs.ts')).certs,
  },
  {
    name: 'proxies',
    summary: 'List every proxy of the mesh that is connected, and how far it is',
    load: async () => (await import('./proxies.ts')).proxies,
  },
  {
    name: 'record',
    summary: 'Propose policies that allow the calls between services that are made, and no others',
    load: async () => (await import('./record.ts')).record,
  },
  {
    name: 'verify',
    summary: 'Show for each connection of the mesh who has proved to whom who he is, and what is in clear text',
    load: async () => (await import('./verify.ts')).verify,
  },
  {
    name: 'tap',
    summary: 'Show live requests of all proxies, chosen by an expression',
    load: async () => (await import('./tap.ts')).tap,
  },
  {
    name: 'token',
    summary: 'Make a token with which a proxy joins the mesh',
    load: async () => (await import('./token.ts')).token,
  },
  {
    name: 'cache',
    summary: 'Show what caches hold, or make them forget',
    load: async () => (await import('./cache.ts')).cache,
  },
  {
    name: 'keys',
    summary: 'Make, list and revoke API keys, and set passwords, in files beside the gateway',
    load: async () => (await import('./keys.ts')).keys,
  },
  {
    name: 'completion',
    summary: 'Print the completion script of a shell',
    load: async () => (await import('./completion.ts')).completion,
  },
  {
    name: 'version',
    summary: 'Print the version',
    load: async () => (await import('./version.ts')).version,
  },
];
