/** Key in `Plan.ports`: `10.0.0.1:443`, `[::1]:443`, `*:443`, `*:53/udp`. UDP has port numbers of its own. */
export function portKey(address: string, port: number, transport: 'tcp' | 'udp' = 'tcp'): string {
  const key = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  return transport === 'udp' ? `${key}/udp` : key;
}
