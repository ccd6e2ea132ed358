import { isCidr } from '../../base/cidr.ts';
import type { ConfigIssue } from '../../filter/declaration.ts';
import type { IpAccessConfig } from './config.ts';

export function check({ allow, deny, allowFiles, denyFiles }: IpAccessConfig): ConfigIssue[] {
  if (allow.length + deny.length + allowFiles.length + denyFiles.length === 0) {
    return [{ pointer: '', message: 'Filter without effect: set allow, deny, allowFiles or denyFiles' }];
  }
  return [...networkIssues('allow', allow), ...networkIssues('deny', deny)];
}

function networkIssues(field: string, networks: readonly string[]): ConfigIssue[] {
  return networks.flatMap((network, i) =>
    isCidr(network)
      ? []
      : [{ pointer: `/${field}/${i}`, message: `Expected a network such as "10.0.0.0/8", got "${network}"` }],
  );
}
