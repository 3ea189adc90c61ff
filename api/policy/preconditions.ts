/** What the headers of a conditional request ask of the policy's ETag (RFC 9110, 13.1). */
export interface Preconditions {
  /** Change it only if it still has one of these. */
  readonly ifMatch?: string | undefined;
  /** Change it only if it has none of these. */
  readonly ifNoneMatch?: string | undefined;
}

/** Which of the preconditions fails, in the order of RFC 9110, 13.2.2; undefined: none. There always is a policy, so "*" names every one. */
export function failedPrecondition(
  { ifMatch, ifNoneMatch }: Preconditions,
  etag: string,
): keyof Preconditions | undefined {
  if (ifMatch !== undefined && !namesStrongly(ifMatch, etag)) return 'ifMatch';
  if (ifNoneMatch !== undefined && namesWeakly(ifNoneMatch, etag)) return 'ifNoneMatch';
  return undefined;
}

/** Whether the value of an If-None-Match header names this ETag, weak or strong. */
export function namesWeakly(header: string, etag: string): boolean {
  return namesStrongly(header.replaceAll('W/"', '"'), etag);
}

function namesStrongly(header: string, etag: string): boolean {
  const tags = header.split(',').map((tag) => tag.trim());
  return tags.includes(etag) || (tags.length === 1 && tags[0] === '*');
}
