const UNIT_BYTES = { '': 1, Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3 } as const;

/** Bytes of a size as the `size` field writes it: `8192`, `"8192"`, `"8Ki"`, `"1Mi"`, `"2Gi"`. Undefined for any other text. */
export function parseSize(size: number | string): number | undefined {
  if (typeof size === 'number') return size;
  const found = /^([0-9]{1,9})(Ki|Mi|Gi|)$/.exec(size);
  if (found === null) return undefined;
  return Number(found[1]) * UNIT_BYTES[found[2] as keyof typeof UNIT_BYTES];
}

/** A size that may be absent. */
export function sizeOr(size: number | string | undefined, otherwise: number): number {
  return size === undefined ? otherwise : (parseSize(size) ?? otherwise);
}
