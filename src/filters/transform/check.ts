import { checkExpression } from '../../expr/expression.ts';
import type { ConfigIssue } from '../../filter/declaration.ts';
import type { TransformConfig } from './config.ts';
import { compileJsonata } from './jsonata.ts';

export function check(config: TransformConfig): readonly ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  for (const side of ['request', 'answer'] as const) {
    const { body, setHeaders = [] } = config[side] ?? {};
    try {
      if (body !== undefined) compileJsonata(body, config);
    } catch (error) {
      issues.push({ pointer: `/${side}/body`, message: (error as Error).message });
    }
    setHeaders.forEach(({ value }, i) => {
      const message = checkExpression(value, 'string');
      if (message !== undefined) issues.push({ pointer: `/${side}/setHeaders/${i}/value`, message });
    });
  }
  return issues;
}
