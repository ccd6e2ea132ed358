/** When a filter of a user may run: before anybody knows who is asking, once that is known, last before the upstream. */
export const OWN_PHASES = ['admit', 'authorise', 'transform'] as const;
export type OwnPhase = (typeof OWN_PHASES)[number];

/** One call of a hook, whatever the filter or the policy says. */
export const OWN_TIMEOUT_MS_MAX = 60_000;
