/** Transparent capture beside a sidecar, and what it would do. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import type { Log } from '../base/log.ts';
import { type Account, findAccount } from '../capture/account.ts';
import { Addresses, type Range, readRange } from '../capture/addresses.ts';
import {
  type CaptureOptions,
  keptAddresses,
  ledBy,
  PORT_MIN,
  removeOfDead,
  TransparentCapture,
} from '../capture/capture.ts';
import { ResolvConf } from '../capture/resolv-conf.ts';
import { type Scope, tableOf, tableRules } from '../capture/rules.ts';
import type { SidecarOptions } from '../cli/command.ts';
import { formatWorkloadId } from '../identity/spiffe.ts';
import { PlanCopy } from '../push/plan-copy.ts';
import { type NamedPort, namedPortsOf } from '../sidecar/local-ports.ts';
import { StartFailure } from './start-failure.ts';

export interface CaptureSettings {
  readonly scope: Scope;
  readonly range: Range;
}

interface CaptureParts extends Pick<CaptureOptions, 'ask' | 'drop'> {
  readonly cleanup: AsyncDisposableStack;
}

const RESOLV_CONF = '/etc/resolv.conf';

/** @throws {StartFailure} when nothing can be captured here */
export async function openCapture(
  {
    capture,
    dataDir,
    log,
  }: { readonly capture: CaptureSettings | undefined; readonly dataDir: string; readonly log: Log },
  { cleanup, ask, drop }: CaptureParts,
): Promise<TransparentCapture | undefined> {
  const path = addressFile(dataDir);
  if (capture === undefined) {
    // It has captured before, and may have been killed.
    const fault = existsSync(path) && process.platform === 'linux' ? await removeOfDead(log) : undefined;
    if (fault !== undefined) log.warn(`Rules of capture may be left behind: ${fault.detail}`, { code: fault.code });
    return undefined;
  }
  const opened = await TransparentCapture.open({
    ...capture,
    path,
    resolvConf: RESOLV_CONF,
    ask,
    drop,
    clock: systemClock,
    log,
  });
  if (opened instanceof Fault) throw new StartFailure(`Cannot capture: ${opened.detail}\n${opened.kind.advice}`);
  // However this process ends, short of SIGKILL: rules that lead to nobody would cut the application off.
  const remove = (): void => opened.removeNow();
  process.once('exit', remove);
  cleanup.defer(async () => {
    await opened.close();
    process.off('exit', remove);
  });
  return opened;
}

function addressFile(dataDir: string): string {
  return join(dataDir, 'addresses.json');
}

/** @throws {StartFailure} when there is no such user */
export async function accountOf({ user }: Pick<SidecarOptions, 'user'>): Promise<Account | undefined> {
  if (user === undefined) return undefined;
  const account = await findAccount(user);
  if (account === undefined) throw new StartFailure(`Cannot run as user "${user}": nobody here has this name`);
  return account;
}

/** @throws {StartFailure} when the one who is captured is the sidecar itself */
export function captureOf(
  { capture }: Pick<SidecarOptions, 'capture'>,
  account: Account | undefined,
): CaptureSettings | undefined {
  if (capture === undefined) return undefined;
  if (process.platform !== 'linux') throw new StartFailure('Cannot capture: this is Linux only; use HTTP_PROXY');
  const own = process.getuid!();
  if (account?.uid === own) {
    throw new StartFailure(
      `Cannot capture: user ${account.name ?? account.uid} is the one of the sidecar, whose own connections must not come back to it`,
    );
  }
  const scope: Scope = account === undefined ? { kind: 'others', uid: own } : { kind: 'user', uid: account.uid };
  return { scope, range: readRange(capture.range)! };
}

export interface DryRun {
  readonly table: string;
  /** As `nft -f` takes them. */
  readonly rules: string;
  readonly dns: {
    readonly listen: string;
    /** Who is asked for names that are none of services. */
    readonly upstreams: readonly string[];
    /** Addresses of the services that are known before the control plane was asked. */
    readonly names: Readonly<Record<string, string>>;
  };
}

/** What would be done, from what is on the disk. Changes nothing, and needs no rights. */
export async function dryRunOf(options: SidecarOptions): Promise<DryRun | undefined> {
  const settings = captureOf(options, await accountOf(options));
  if (settings === undefined) return undefined;
  const { scope, range } = settings;
  const named = await namedOnDisk(options);
  const addresses = new Addresses(range, await keptAddresses(addressFile(options.dataDir)));
  const ports = new Map(named.map(({ key }, i) => [key, PORT_MIN + 1 + i]));
  const { elements, names } = ledBy(named, addresses, ports);
  const { upstreams } = new ResolvConf(RESOLV_CONF);
  const declared = [...options.services, ...options.locals.map(({ service }) => service)].map((service) => {
    const [name, namespace] = service.split('.');
    return [service, addresses.of(`Service/${namespace}/${name}`)] as const;
  });
  return {
    table: tableOf(scope),
    rules: tableRules({ scope, dnsPort: PORT_MIN, dnsOn6: true, range: range.cidr, upstreams }, elements),
    dns: {
      listen: `127.0.0.1:${PORT_MIN}`,
      upstreams: upstreams.map(({ address }) => address),
      names: Object.fromEntries([...declared, ...names]),
    },
  };
}

async function namedOnDisk({ id, dataDir }: SidecarOptions): Promise<NamedPort[]> {
  const path = join(dataDir, 'plan');
  // Opening what is not there would make a key for it.
  if (!existsSync(path)) return [];
  const read = await PlanCopy.open({ path, identity: formatWorkloadId(id) }).read();
  return read === undefined || read instanceof Fault ? [] : namedPortsOf(read.plan);
}
