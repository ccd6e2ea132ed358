import { Fault } from '../../base/fault.ts';
import type { Exchange, FilterCode } from '../../filter/filter.ts';
import { type IpAccessConfig, ipAccessFaults } from './config.ts';
import { type ListSource, NetworkList } from './network-list.ts';

/** Why an address is kept out; the word in the access log. */
type Reason = keyof typeof WORDS;

const WORDS = {
  denied: 'is in a network of deny',
  'not-allowed': 'is in no network of allow',
  'not-an-address': 'is no IP address',
} as const;

/** Keeps clients out by their address: who is denied, and who is not allowed where somebody is. */
export const code: FilterCode<typeof IpAccessConfig> = {
  make({ allow, deny, allowFiles, denyFiles, of }, env) {
    const open = (source: ListSource): NetworkList | undefined =>
      source.networks.length + source.files.length === 0 ? undefined : NetworkList.open(source, env);
    const denied = open({ networks: deny, files: denyFiles });
    const allowed = open({ networks: allow, files: allowFiles });
    const addressOf = of === 'peer' ? (x: Exchange) => x.client.peerIp : (x: Exchange) => x.clientIp;

    return {
      onRequest(x) {
        const ip = addressOf(x);
        const reason = reasonOf(denied, allowed, ip);
        if (reason === undefined) return undefined;
        env.count('denied');
        x.note('ipAccess', reason);
        return new Fault(ipAccessFaults['ip-access.denied'], `Address ${ip} of the ${of} ${WORDS[reason]}`);
      },

      close() {
        denied?.close(env);
        allowed?.close(env);
      },
    };
  },
};

/** What is not an address is in no network, so nothing can be decided by it. */
function reasonOf(denied: NetworkList | undefined, allowed: NetworkList | undefined, ip: string): Reason | undefined {
  const isDenied = denied !== undefined && denied.holds(ip);
  if (isDenied === true) return 'denied';
  const isAllowed = allowed === undefined || allowed.holds(ip);
  if (isDenied === undefined || isAllowed === undefined) return 'not-an-address';
  return isAllowed ? undefined : 'not-allowed';
}
