/** This process may not see which physical pages others use; `capability` says what it lacks. */
export class PageMapsUnavailableError extends Error {
  readonly code = 'TIERD_PAGE_MAPS_UNAVAILABLE';
  readonly capability: 'CAP_SYS_ADMIN' | 'CAP_SYS_PTRACE';

  constructor(capability: 'CAP_SYS_ADMIN' | 'CAP_SYS_PTRACE', path: string, found: string) {
    super(`cannot tell whose pages lie where: ${path}: ${found}; needs ${capability}`);
    this.name = 'PageMapsUnavailableError';
    this.capability = capability;
  }
}
