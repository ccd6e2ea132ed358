/** Apart from the declarations: sidecars that check and do nothing else load no schemas. */
import { faultKinds } from '../../base/fault.ts';

export const USER_CONTEXT_FAULTS = faultKinds({
  'user-context.invalid': {
    blame: 'client',
    retry: 'never',
    status: 401,
    grpc: 16,
    title: 'What is said of the user is not to be believed',
    advice:
      'The field x-fourways-user was changed or made up on its way, or is signed by somebody who may not: applications hand it on as it came. Who may sign stands in `userContext.from` of the Mesh; the log says what is wrong and which workload sent it.',
  },
  'user-context.expired': {
    blame: 'client',
    retry: 'never',
    status: 401,
    grpc: 16,
    title: 'What is said of the user is too old',
    advice:
      'An application kept the field x-fourways-user of a request for a later call. It is good for as long as `userContext.lifetime` of the Mesh says; or the clocks of two hosts differ.',
  },
});

export const SIGN_USER_CONTEXT_FAULTS = faultKinds({
  'user-context.too-large': {
    blame: 'gateway',
    retry: 'never',
    status: 500,
    grpc: 13,
    title: 'The gateway cannot pass on who is asking',
    advice:
      'What is known of the user would be longer than 8 KiB with the certificates of the gateway: name the claims that services need in `userContext.claims` of the Mesh.',
  },
});
