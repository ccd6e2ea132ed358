/** Live requests as rows of a table that grows: columns become wider with what stands in them. */
import type { AskedProxy } from '../control/survey.ts';
import type { TappedRequest } from '../ir/observed.ts';
import { paint, type Palette } from './paint.ts';

const HEAD = ['TIME', 'WAY', 'CLIENT', 'SERVICE', 'STATUS', 'TOOK', 'REQUEST', 'ROUTE', 'REQUEST ID', 'FAULT'] as const;

/** From the start, so that the first rows stand as the others do. */
const WIDTHS = [12, 4, 44, 16, 6, 8, 24, 24, 32, 5] as const;

/** A cell that is longer stands out, and the columns stay where they are. */
const WIDTH_MAX = 48;

export class RequestTable {
  readonly #palette: Palette;
  readonly #widths: number[] = [...WIDTHS];
  #hasHead = false;

  constructor(palette: Palette) {
    this.#palette = palette;
  }

  /** Before the first one its head. */
  lines(request: TappedRequest, proxy: AskedProxy): string[] {
    const cells = cellsOf(request, proxy).map(harmless);
    for (const [i, { length }] of cells.entries()) {
      this.#widths[i] = Math.max(this.#widths[i]!, Math.min(length, WIDTH_MAX));
    }
    const head = this.#hasHead ? [] : [paint(this.#palette, 'bold', this.#row(HEAD))];
    this.#hasHead = true;
    const colour = request.fault !== '' || request.status >= 500 ? 'red' : request.status >= 400 ? 'yellow' : undefined;
    const row = this.#row(cells);
    const headers = Object.entries(request.headers ?? {}).map(([name, value]) => harmless(`    ${name}: ${value}`));
    return [...head, colour === undefined ? row : paint(this.#palette, colour, row), ...headers];
  }

  #row(cells: readonly string[]): string {
    return cells
      .map((cell, i) => cell.padEnd(this.#widths[i]!))
      .join('  ')
      .trimEnd();
  }
}

function cellsOf(request: TappedRequest, { identity }: AskedProxy): string[] {
  const { timeMs, direction, protocol, source, service, status, grpcStatus, fault, durationMs, route, requestId } =
    request;
  // Beside its application a proxy is the client, whatever port of loopback that has called from.
  const client = direction === 'out' && identity !== '' ? identity : source;
  const code = protocol === 'tcp' ? '-' : grpcStatus >= 0 ? `${status}/${grpcStatus}` : String(status);
  return [
    new Date(timeMs).toISOString().slice(11, 23),
    direction,
    client,
    service || '-',
    code,
    `${durationMs.toFixed(1)}ms`,
    protocol === 'tcp' ? `tcp ${request.host || request.endpoint}` : `${request.method} ${request.path}`,
    route || '-',
    requestId || '-',
    fault || '-',
  ];
}

/** What a stranger has sent never moves the cursor. */
function harmless(text: string): string {
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '\uFFFD');
}
