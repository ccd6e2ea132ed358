/** One or two labels, or what stands behind them in a cluster: no other name can be that of a service. */
const SERVICE_NAME = /^[a-z0-9][-a-z0-9]{0,62}(\.[a-z0-9][-a-z0-9]{0,62}(\.svc(\.cluster\.local)?)?)?$/;

/** @param host  lower case, without a port */
export function mayBeService(host: string): boolean {
  return SERVICE_NAME.test(host);
}
