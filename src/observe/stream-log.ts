/** The line of the access log for a connection or session below HTTP. */
import type { Fault } from '../base/fault.ts';
import type { ClientCertificate } from '../net/client-certificate.ts';
import { faultFields, NAME_CHARS_MAX, peerField, quote } from './access-log.ts';

export interface StreamEntry {
  readonly protocol: 'tcp' | 'tls' | 'udp';
  /** Of the handshake; empty where there was none. */
  readonly serverName: string;
  readonly route: string;
  readonly cluster: string;
  /** `ADDRESS:PORT` of the last attempt; empty when there was none. */
  readonly endpoint: string;
  readonly attempts: number;
  /** Key of the listener in the plan; empty when none took the connection. */
  readonly listener: string;
  readonly clientIp: string;
  readonly clientPort: number;
  /** Peer that spoke for the client by the PROXY protocol; empty when the client is the peer. */
  readonly proxyIp: string;
  /** Verified; undefined when there was none. */
  readonly clientCertificate?: ClientCertificate | undefined;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly fault: Fault | undefined;
  /** Why it would have been refused by what is only tried out. */
  readonly audited?: string | undefined;
  readonly planVersion: string;
  /** From accept to a connection with the upstream; 0 when there was none. */
  readonly connectMs: number;
  readonly durationMs: number;
}

/** @param time  RFC 3339, of the beginning */
export function streamLine(time: string, entry: StreamEntry): string {
  const { fault, audited } = entry;
  let line = `{"time":"${time}","protocol":"${entry.protocol}"`;
  if (entry.serverName !== '') line += `,"server_name":${quote(entry.serverName, NAME_CHARS_MAX)}`;
  if (fault !== undefined) line += faultFields(fault);
  if (audited !== undefined) line += `,"filters":{"audit.authorize":${quote(audited, NAME_CHARS_MAX)}}`;
  line += `,"rule":${quote(entry.route, NAME_CHARS_MAX)},"cluster":${quote(entry.cluster, NAME_CHARS_MAX)}`;
  line += `,"endpoint":${quote(entry.endpoint, NAME_CHARS_MAX)},"attempts":${entry.attempts}`;
  line += `,"listener":${quote(entry.listener, NAME_CHARS_MAX)}`;
  line += `,"client_ip":${quote(entry.clientIp, 64)},"client_port":${entry.clientPort}`;
  if (entry.proxyIp !== '') line += `,"proxy_ip":${quote(entry.proxyIp, 64)}`;
  line += peerField(entry.clientCertificate);
  line += `,"bytes_in":${entry.bytesIn},"bytes_out":${entry.bytesOut},"plan":${quote(entry.planVersion, 12)}`;
  line += `,"connect_ms":${entry.connectMs.toFixed(3)},"duration_ms":${entry.durationMs.toFixed(3)}}\n`;
  return line;
}
