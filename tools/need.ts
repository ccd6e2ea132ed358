/**
 * What the tests need from Debian beyond Node.js and npm. One list, so that the
 * README, CI and the tests themselves cannot disagree.
 *
 * `node tools/need.ts` checks, and installs what is missing when it runs as root.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, globSync } from 'node:fs';
import { delimiter, join } from 'node:path';

interface Need {
  /** The program that must be found in PATH. */
  readonly program: string;
  /** Where else it may be, as a glob of folders: Debian keeps the programs of each PostgreSQL apart. */
  readonly folders?: string;
  /** The Debian package that has it. */
  readonly package: string;
  readonly why: string;
}

export const NEEDS: readonly Need[] = [
  { program: 'bash', package: 'bash', why: 'the completion script is loaded and asked' },
  {
    program: 'chromium',
    package: 'chromium',
    why: 'WebSockets, event streams and gRPC-Web are tried from a real browser',
  },
  { program: 'curl', package: 'curl', why: 'the lines that the example prints are run as they stand' },
  {
    program: 'initdb',
    folders: '/usr/lib/postgresql/*/bin',
    package: 'postgresql',
    why: 'state that several processes share is tried on a PostgreSQL of the tests',
  },
  { program: 'ip', package: 'iproute2', why: 'hosts of the mesh are network namespaces that the tests make' },
  { program: 'nft', package: 'nftables', why: 'connections are captured by real rules, in a network namespace' },
  { program: 'pebble', package: 'pebble', why: 'certificates are ordered from an ACME server that is not ours' },
  { program: 'nghttp', package: 'nghttp2-client', why: 'a client of HTTP/2 that is not ours' },
  { program: 'h2load', package: 'nghttp2-client', why: 'many requests of HTTP/2 at a time' },
  { program: 'nghttpd', package: 'nghttp2-server', why: 'a server of HTTP/2 that is neither ours nor that of Node' },
  {
    program: 'redis-server',
    package: 'redis-server',
    why: 'limits that several proxies share are tried on a Redis of the tests',
  },
  { program: 'openssl', package: 'openssl', why: 'certificates of the TLS tests, and a client that is not ours' },
];

/** The needs whose program is not in `path`, which has the form of the PATH variable. */
export function missingNeeds(needs: readonly Need[], path: string): Need[] {
  return needs.filter(({ program, folders }) => {
    const places = [...path.split(delimiter), ...(folders === undefined ? [] : globSync(folders))];
    return !places.some((folder) => isExecutable(join(folder, program)));
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Makes sure that everything is there: installs what is missing when that is
 * possible without asking (root on Debian or a derivative).
 *
 * @returns the lines that say what is missing; empty when nothing is
 */
export function ensureNeeds(): string[] {
  const missing = missingNeeds(NEEDS, process.env['PATH'] ?? '');
  if (missing.length === 0) return [];
  const packages = missing.map((need) => need.package);
  if (process.getuid?.() === 0 && missingNeeds([APT], process.env['PATH'] ?? '').length === 0) {
    console.log(`Installing what the tests need: ${packages.join(' ')}`);
    aptGet(['update', '-q']);
    aptGet(['install', '-q', '-y', '--no-install-recommends', ...packages]);
  }
  const still = missingNeeds(NEEDS, process.env['PATH'] ?? '');
  if (still.length === 0) return [];
  return [
    ...still.map(({ program, why }) => `Cannot find the program "${program}": needed for ${why}`),
    `Install with: sudo apt-get update && sudo apt-get install -y ${still.map((need) => need.package).join(' ')}`,
  ];
}

const APT: Need = { program: 'apt-get', package: 'apt', why: 'installing packages' };

function aptGet(args: readonly string[]): void {
  spawnSync('apt-get', args, { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
}

if (import.meta.main) {
  const lines = ensureNeeds();
  for (const line of lines) console.error(line);
  process.exitCode = lines.length === 0 ? 0 : 1;
}
