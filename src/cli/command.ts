/**
 * The contract between a command and the program that runs it. A command is a
 * value: its options are a table that help, completion and the reference page
 * are printed from, and everything that it can do to the world is lent by {@link Io}.
 */
import type { parseArgs } from 'node:util';
import type { Clock } from '../base/clock.ts';
import type { LogLevel } from '../base/log.ts';
import type { ProgramSpec } from '../filter/own-program.ts';
import type { Machine } from './machine.ts';
import type { RunModule } from '../source/module.ts';

/** 0: done. 1: problems were found, or it could not be done. 2: the arguments are wrong. */
export type ExitCode = 0 | 1 | 2;

/** Every effect that a command can have, apart from reading the folders that it is given. */
export interface Io {
  /** Writes `text` and a newline to standard output. */
  out(text: string): void;
  /** Writes `text` and a newline to standard error. */
  err(text: string): void;
  /** @throws {Error} with the `code` of the system (`ENOENT`, `EACCES` …) */
  readFile(path: string): Promise<string>;
  /** All of standard input. */
  readInput(): Promise<string>;
  /** One line that is not shown while it is typed; without its end. Empty when there is none. */
  readSecret(prompt: string): Promise<string>;
  /** One GET. @throws {Error} with the `code` of the system when nobody answers */
  get(url: string): Promise<HttpAnswer>;
  /** One POST of JSON. @throws {Error} as `get` does */
  post(url: string, body: object): Promise<HttpAnswer>;
  /**
   * One GET whose answer is read line by line, until it ends, `take` has enough, or the user breaks it off (Ctrl-C): then its
   * connection is closed. @param signal  says as `take` does that it is enough. @throws {Error} as `get` does
   */
  follow(url: string, take: (line: string) => 'more' | 'enough', signal?: AbortSignal): Promise<Followed>;
  /** Runs `fourways.config.ts` in a thread of its own. */
  readonly runModule: RunModule;
  /** Loads a filter of users in a thread of its own, and lets go of it. Resolves with why it cannot be loaded. */
  tryProgram(spec: ProgramSpec): Promise<string | undefined>;
  readonly clock: Clock;
  readonly cwd: string;
  /** Standard output is a terminal. */
  readonly isTerminal: boolean;
  /** Colours may be used: a terminal, and NO_COLOR is not set. */
  readonly colour: boolean;
  /** Where the program itself runs, for `fourways version`: `v26.10.0`. */
  readonly nodeVersion: string;
  readonly programs: Programs;
  /** Loaded when it is asked for: it is for `fourways doctor` alone. */
  machine(): Promise<Machine>;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

export interface Followed {
  readonly status: number;
  /** Of an answer that is no 200: all of it. */
  readonly body: string;
  readonly how: 'ended' | 'enough' | 'interrupted';
}

/** What runs until it is told to stop. Lent by main/, the only room that knows how to put the rooms together. */
export interface Programs {
  up(options: UpOptions): Promise<ExitCode>;
  control(options: ControlOptions): Promise<ExitCode>;
  gateway(options: GatewayOptions): Promise<ExitCode>;
  sidecar(options: SidecarOptions): Promise<ExitCode>;
  /** Does not return: the process ends with the exit code of the command. */
  run(options: RunOptions): Promise<ExitCode>;
}

/** The checked arguments of `fourways sidecar`. */
export interface SidecarOptions {
  readonly id: { readonly trustDomain: string; readonly namespace: string; readonly account: string };
  /** Of the application, by name. */
  readonly ports: Readonly<Record<string, number>>;
  /** `HOST:PORT` of each control plane. */
  readonly control: readonly string[];
  /** Absolute path; undefined means the variable FOURWAYS_TOKEN, or none. */
  readonly tokenFile: string | undefined;
  readonly address: string;
  readonly proxyPort: number;
  readonly forward: { readonly host: string; readonly port: number };
  readonly services: readonly string[];
  /** Ports of this host that lead to a port of a service; `port` undefined means the only one that it has. */
  readonly locals: readonly {
    readonly service: string;
    readonly port: number | undefined;
    readonly at: { readonly address: string; readonly port: number };
  }[];
  /** Network for the addresses of services, such as `127.240.0.0/16`; undefined: nothing is captured. */
  readonly capture: { readonly range: string } | undefined;
  /** Name or number of the user whose connections are captured, and who `run` starts the command as. */
  readonly user: string | undefined;
  /** Say what capture would do, and end. */
  readonly dryRun: boolean;
  /** Where the admin API listens; undefined for none. */
  readonly admin: { readonly host: string; readonly port: number } | undefined;
  readonly zone: string;
  /** 0: the proxy runs in the main thread. */
  readonly workers: number;
  /** Absolute path. */
  readonly dataDir: string;
  readonly drainMs: number;
  /** Take over from the sidecar that serves from the same folder. */
  readonly takeover: boolean;
  readonly logLevel: LogLevel;
  readonly announce: 'text' | 'json';
}

/** The checked arguments of `fourways run`. */
export interface RunOptions extends SidecarOptions {
  readonly command: readonly [program: string, ...rest: string[]];
}

/** An issuer for the mesh that is brought: absolute paths of its chain, up to its root, and of its key. */
export interface IssuerFiles {
  readonly chain: string;
  readonly key: string;
}

/** The checked arguments of `fourways control`. */
export interface ControlOptions {
  /** Absolute path of a file or a folder. */
  readonly path: string;
  readonly admin: { readonly host: string; readonly port: number };
  /** Where proxies join and get their plans. */
  readonly mesh: { readonly host: string; readonly port: number };
  readonly meshIssuer: IssuerFiles | undefined;
  /** Absolute path; undefined means the default beside `path`. */
  readonly dataDir: string | undefined;
  readonly logLevel: LogLevel;
  readonly announce: 'text' | 'json';
}

/** The checked arguments of `fourways gateway`. */
export interface GatewayOptions {
  readonly id: { readonly trustDomain: string; readonly namespace: string; readonly account: string };
  /** Gateways to serve, as `NAMESPACE/NAME`. Never empty. */
  readonly gateways: readonly string[];
  /** `HOST:PORT` of each control plane. */
  readonly control: readonly string[];
  /** Absolute path; undefined means the variable FOURWAYS_TOKEN, or none. */
  readonly tokenFile: string | undefined;
  readonly admin: { readonly host: string; readonly port: number };
  /** IP address for the Gateways that name none; undefined means every address. */
  readonly bind: string | undefined;
  /** At which clients reach it, for the status of its Gateways; empty when nobody says. */
  readonly address: string;
  readonly zone: string;
  /** 0: one worker for each core. */
  readonly workers: number;
  /** Absolute path. */
  readonly dataDir: string;
  readonly drainMs: number;
  readonly ticketKeysMs: number;
  readonly redisUrl: string | undefined;
  readonly logLevel: LogLevel;
  readonly announce: 'text' | 'json';
}

/** The checked arguments of `fourways up`. */
export interface UpOptions {
  /** Absolute path of a file or a folder. */
  readonly path: string;
  /** IP address for the Gateways that name none; undefined means every address. */
  readonly bind: string | undefined;
  /** `host` without brackets. Port 0 takes a free one. */
  readonly admin: { readonly host: string; readonly port: number };
  /** 0: one worker for each core. */
  readonly workers: number;
  /** Absolute path of the folder for the last good plan; undefined means the default beside `path`. */
  readonly dataDir: string | undefined;
  /** How long running exchanges may take to finish after SIGTERM. */
  readonly drainMs: number;
  /** How long keys for TLS session tickets seal new ones. */
  readonly ticketKeysMs: number;
  /** Redis that all proxies share, with its password; undefined means REDIS_URL, or none. */
  readonly redisUrl: string | undefined;
  /** Where proxies of a mesh join and get their plans; undefined for no mesh. */
  readonly mesh: { readonly host: string; readonly port: number } | undefined;
  readonly meshIssuer: IssuerFiles | undefined;
  /** Zone that this host is in: `eu/a`; empty for none. */
  readonly zone: string;
  /** Take the ports over from a Fourways that runs on them. */
  readonly takeover: boolean;
  readonly logLevel: LogLevel;
  /** How the start is announced on standard output: lines for people, or one JSON object a line. */
  readonly announce: 'text' | 'json';
}

export interface Option {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  readonly multiple?: boolean;
  /** What it does, one sentence without full stop. */
  readonly description: string;
  /** Name of the value in help: `HOST:PORT`. */
  readonly value?: string;
  /** The only values that are accepted. */
  readonly choices?: readonly string[];
}

export type Options = Readonly<Record<string, Option>>;

/** Every command has these. */
export const COMMON_OPTIONS = {
  json: { type: 'boolean', description: 'Print JSON on standard output' },
  help: { type: 'boolean', short: 'h', description: 'Print this help' },
} as const satisfies Options;

export type Values<O extends Options> = ReturnType<typeof parseArgs<{ options: O & typeof COMMON_OPTIONS }>>['values'];

export interface Arguments<O extends Options = Options> {
  readonly values: Values<O>;
  readonly positionals: readonly string[];
}

export interface CommandDef<O extends Options> {
  readonly name: string;
  /** One line, imperative, no full stop. The same text stands in commands.ts, which help reads. */
  readonly summary: string;
  readonly usage: string;
  /** More help: paragraphs, examples. */
  readonly details?: string;
  /** What `--json` prints, in words and with field names. */
  readonly json: string;
  readonly options: O;
  /** The only first arguments that are accepted, for completion and for "did you mean". */
  readonly words?: readonly string[];
  /**
   * @throws {UsageError} when the arguments are wrong
   * @throws {CommandFailure} when it cannot be done
   */
  run(args: Arguments<O>, io: Io): Promise<ExitCode>;
}

/** A command whose option types were forgotten, so that commands of different options fit in one list. */
export interface Command extends Omit<CommandDef<Options>, 'run'> {
  run(args: Arguments<never>, io: Io): Promise<ExitCode>;
}

/** Names the types; adds the options that every command has. */
export function defineCommand<const O extends Options>(def: CommandDef<O>): Command {
  return { ...def, options: { ...def.options, ...COMMON_OPTIONS }, run: (args, io) => def.run(args, io) };
}

/** The arguments are wrong: printed with the usage line, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** It cannot be done: printed, exit code 1. Under `--json` it is `{"error": message}` on standard output. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
}
