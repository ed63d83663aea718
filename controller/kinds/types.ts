/** The platform's kinds: what an admin declares. */

const platform = (kind: string) => ({ group: 'platform.cratewright.dev', version: 'v1alpha1', kind }) as const

export const personType = platform('Person')
export const repositoryType = platform('Repository')
export const approverGroupType = platform('ApproverGroup')
export const sourceConnectionType = platform('SourceConnection')
export const fileStoreType = platform('FileStore')
export const freezeType = platform('Freeze')
