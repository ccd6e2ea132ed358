/**
 * Whether a name belongs to one of `owners`: is one of them, or lies below one
 * (`HTTPRoute/shop/web/0` below `HTTPRoute/shop/web`).
 */
export function ownedBy(owners: readonly string[]): (name: string) => boolean {
  const exact = new Set(owners);
  return (name) => {
    if (exact.has(name)) return true;
    for (let slash = name.lastIndexOf('/'); slash > 0; slash = name.lastIndexOf('/', slash - 1)) {
      if (exact.has(name.slice(0, slash))) return true;
    }
    return false;
  };
}
