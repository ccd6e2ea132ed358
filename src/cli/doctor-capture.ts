/**
 * Rules of transparent capture. Whoever captures has a table of nftables and holds an abstract Unix socket of its name
 * (capture/presence.ts): a table without one was left behind, a socket without its table has lost it.
 */
import type { Row } from './doctor-row.ts';
import type { Machine } from './machine.ts';

const OURS = /^fourways_(?:user|others)_\d+$/;

const CHECK = 'capture';

export async function captureRows(machine: Machine): Promise<Row[]> {
  const [tables, sockets] = await Promise.all([machine.tables(), machine.readFile('/proc/net/unix').catch(() => '')]);
  const held = new Set([...sockets.matchAll(/ @(fourways_\S+)$/gm)].map(([, name]) => name!).filter(isOurs));
  if ('why' in tables) {
    if (tables.why === 'no-nft' && held.size === 0) {
      return [{ check: CHECK, level: 'ok', found: 'nft is not there: only sidecars with --capture need it' }];
    }
    const found = `rules cannot be seen: ${tables.detail}`;
    if (held.size === 0) return [{ check: CHECK, level: 'ok', found: `no sidecar captures here; ${found}` }];
    const fix = tables.why === 'no-nft' ? 'apt-get install nftables' : 'run "fourways doctor" as root';
    return [{ check: CHECK, level: 'warning', found: `${[...held].join(', ')} should be there; ${found}`, fix }];
  }
  const there = new Set(tables.filter(isOurs));
  const rows = [...new Set([...there, ...held])].map((table) => tableRow(table, there.has(table), held.has(table)));
  return rows.length > 0
    ? rows
    : [{ check: CHECK, level: 'ok', found: 'no sidecar captures here, and none left rules' }];
}

function isOurs(name: string): boolean {
  return OURS.test(name);
}

function tableRow(table: string, isThere: boolean, isHeld: boolean): Row {
  if (isThere && isHeld) return { check: CHECK, level: 'ok', found: `table ${table} has its sidecar` };
  if (isThere) {
    return {
      check: CHECK,
      level: 'problem',
      found: `table ${table} was left behind by a sidecar that was killed: calls of services are refused`,
      fix: `start that sidecar again, which takes it over; or nft delete table inet ${table}`,
    };
  }
  return {
    check: CHECK,
    level: 'problem',
    found: `a sidecar runs for ${table}, and its rules are gone: a firewall was read anew`,
    fix: 'start the sidecar again; let the firewall keep tables of others (no "flush ruleset" in nftables.conf)',
  };
}
