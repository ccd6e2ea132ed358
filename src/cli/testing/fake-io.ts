/** An `Io` of arrays and maps, for tests of commands. */
import { systemClock } from '../../base/clock.ts';
import type { Machine } from '../machine.ts';
import type {
  ControlOptions,
  Followed,
  GatewayOptions,
  HttpAnswer,
  Io,
  Programs,
  RunOptions,
  SidecarOptions,
  UpOptions,
} from '../command.ts';

export interface FakeIo extends Io {
  readonly outLines: string[];
  readonly errLines: string[];
  readonly ups: UpOptions[];
  readonly sidecars: (SidecarOptions | RunOptions)[];
  readonly controls: ControlOptions[];
  readonly gateways: GatewayOptions[];
  readonly posted: { readonly url: string; readonly body: object }[];
}

export interface FakeIoOptions {
  readonly files?: Readonly<Record<string, string>>;
  /** Answers by URL; every other URL refuses the connection. */
  readonly answers?: Readonly<Record<string, HttpAnswer>>;
  /** Why modules with filters cannot be loaded, by their paths and names; every other one can. */
  readonly programs?: Readonly<Record<string, string>>;
  readonly machine?: Machine;
  readonly cwd?: string;
  /** Standard input. */
  readonly input?: string;
  readonly isTerminal?: boolean;
  readonly colour?: boolean;
  /** Ctrl-C after the last line of an answer that is followed. */
  readonly interrupted?: boolean;
}

export function fakeIo(options: FakeIoOptions = {}): FakeIo {
  const {
    files = {},
    answers = {},
    programs = {},
    cwd = '/home/user',
    input = '',
    isTerminal = false,
    colour = false,
    interrupted = false,
  } = options;
  const outLines: string[] = [];
  const errLines: string[] = [];
  const ups: UpOptions[] = [];
  const sidecars: (SidecarOptions | RunOptions)[] = [];
  const controls: ControlOptions[] = [];
  const gateways: GatewayOptions[] = [];
  const posted: { readonly url: string; readonly body: object }[] = [];
  return {
    posted,
    outLines,
    errLines,
    ups,
    sidecars,
    controls,
    gateways,
    out: (text) => void outLines.push(text),
    err: (text) => void errLines.push(text),
    readFile: async (path) => files[path] ?? fail('ENOENT'),
    readInput: async () => input,
    readSecret: async () => input.split('\n', 1)[0]!,
    get: async (url) => answers[url] ?? fail('ECONNREFUSED'),
    async post(url, body) {
      posted.push({ url, body });
      return answers[url] ?? fail('ECONNREFUSED');
    },
    follow: async (url, take) => followed(answers[url] ?? fail('ECONNREFUSED'), take, interrupted),
    runModule: noModules,
    tryProgram: async ({ module }) => programs[module.specifier],
    // Files that tests write are new, and a reader waits a moment before it believes a new file that looks broken.
    clock: systemClock,
    cwd,
    isTerminal,
    colour,
    nodeVersion: 'v26.0.0',
    machine: async () => options.machine ?? fail('no machine'),
    programs: fakePrograms({ ups, sidecars, controls, gateways }),
  };
}

function fakePrograms({
  ups,
  sidecars,
  controls,
  gateways,
}: Pick<FakeIo, 'ups' | 'sidecars' | 'controls' | 'gateways'>): Programs {
  return {
    up: async (given) => (ups.push(given), 0),
    control: async (given) => (controls.push(given), 0),
    gateway: async (given) => (gateways.push(given), 0),
    sidecar: async (given) => (sidecars.push(given), 0),
    run: async (given) => (sidecars.push(given), 0),
  };
}

const noModules: Io['runModule'] = async (path) => ({
  files: [path],
  output: [],
  result: { kind: 'failed', code: 'module.failed', reason: 'this test runs no modules' },
});

function followed(
  { status, body }: HttpAnswer,
  take: (line: string) => 'more' | 'enough',
  interrupted: boolean,
): Followed {
  if (status !== 200) return { status, body, how: 'ended' };
  const lines = body.split('\n').filter((line) => line !== '');
  const how = lines.some((line) => take(line) === 'enough') ? 'enough' : interrupted ? 'interrupted' : 'ended';
  return { status, body: '', how };
}

function fail(code: string): never {
  throw Object.assign(new Error(code), { code });
}
