/** Key in `Plan.ports`: `10.0.0.1:443`, `[::1]:443`, `*:443`. */
export function portKey(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
