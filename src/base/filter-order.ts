/** What an operator orders from all filters of a kind, and what became of it. Plain data: it crosses threads. */
export interface FilterOrder {
  readonly kind: string;
  readonly [member: string]: unknown;
}

export type OrderAnswer =
  | { readonly kind: 'done'; readonly answer: unknown }
  /** It makes no sense. The reason is for the operator. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** No plan has named the filter, or it takes no orders. */
  | { readonly kind: 'nobody' };
