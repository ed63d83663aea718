/**
 * Every error a person can meet, in one place: a stable code, whether trying again can help, and what to do.
 * Messages are written for the person who has to act, on one line. They never hold a secret or a value from a data row; names
 * that strangers chose are in them, so characters that would steer a terminal are shown as escapes.
 */

import { oneLine } from './one-line.ts'

interface CatalogueEntry {
  /** True where the same input can succeed later (a host that is down); false where new input is needed. */
  readonly retryable: boolean
  /** What the reader should do, as one sentence. A more precise one may be given where the error is raised. */
  readonly todo: string
}

export const catalogue = {
  // Reading files
  YamlInvalid: { retryable: false, todo: 'Correct the YAML at the place named.' },
  TomlInvalid: { retryable: false, todo: 'Correct the TOML at the place named.' },
  DocumentTooLarge: { retryable: false, todo: 'Make the file smaller, or split it.' },
  DocumentInvalid: { retryable: false, todo: 'Correct the field named.' },
  DocumentMissing: { retryable: false, todo: 'Add the file named.' },
  FieldIgnored: { retryable: false, todo: 'Remove the field; it has no effect.' },
  KindUnknown: { retryable: false, todo: 'Use a kind that this controller knows.' },
  KindNotAllowed: { retryable: false, todo: 'Ask an admin to list the kind in the Repository’s `allows`.' },
  DuplicateResource: { retryable: false, todo: 'Give one of the two another name.' },
  ProjectNameMismatch: { retryable: false, todo: 'Give the folder and project.name the same name.' },
  SecretInRequest: { retryable: false, todo: 'Remove the secret, change it where it was used, and name it instead.' },
  UnsafePath: { retryable: false, todo: 'Rename or remove the file named.' },
  TreeTooLarge: { retryable: false, todo: 'Move the files that are not part of a request elsewhere.' },

  // Bootstrap, keys, commands
  ConfigInvalid: { retryable: false, todo: 'Correct cratewright.yaml.' },
  UsageInvalid: { retryable: false, todo: 'See `cratewright help`.' },
  KeyInvalid: { retryable: false, todo: 'Give an OpenSSH key in the format that ssh-keygen writes.' },
  KeyEncrypted: {
    retryable: false,
    todo: 'Put the key into your agent with `ssh-add <file>`, or run the command on a terminal, where it asks.',
  },
  KeyNotFound: {
    retryable: false,
    todo: 'Put the key into your agent with `ssh-add <file>`, or name another with --key.',
  },
  AgentUnreachable: {
    retryable: true,
    todo: 'Start an agent (`eval "$(ssh-agent)"`) and put your key into it (`ssh-add <file>`), or name a key file with --key.',
  },
  SigningRefused: {
    retryable: true,
    todo: 'Try again, and confirm: touch the security key, or say yes where you are asked.',
  },
  SignatureInvalid: { retryable: false, todo: 'Sign the unchanged file again with the right key.' },
  SecretNotFound: { retryable: true, todo: 'Put the secret where the bootstrap file says, under the name given.' },
  FolderUnreadable: { retryable: true, todo: 'Check the disk and the rights of the working folder.' },
  FolderHeld: { retryable: true, todo: 'Stop the other process, or give this one a folder of its own.' },
  ProgramMissing: { retryable: false, todo: 'Install the program named.' },
  ProgramTimeout: { retryable: true, todo: 'Check that what the program talks to is up, or give it more time.' },
  ProgramOutputTooLarge: { retryable: false, todo: 'Ask for less, or raise the limit.' },

  // Git
  GitNotFound: { retryable: false, todo: 'Install git 2.36 or newer.' },
  GitUnreachable: { retryable: true, todo: 'Check that the Git server is up and that its URL is right.' },
  GitDenied: { retryable: true, todo: 'Check the credential and its rights.' },
  HostKeyMismatch: {
    retryable: true,
    todo: 'Ask the administrator of the Git server whether its key was changed; only then list the new one in ssh.hostKeys of cratewright.yaml.',
  },
  GitFailed: { retryable: true, todo: 'See the message of git.' },
  GitRefMissing: { retryable: true, todo: 'Push the branch named, or correct `ref`.' },
  GitObjectMissing: { retryable: true, todo: 'Check that the commit was pushed and not removed.' },
  WriteBackBlocked: {
    retryable: true,
    todo: 'Give the controller’s credential the right to push to the records branch.',
  },
  SourceMoved: { retryable: true, todo: 'Nothing: what moved is read, and the work goes on from there.' },
  LogMoved: { retryable: true, todo: 'Nothing: the log is read again and the work goes on from there.' },
  HostNotAllowed: { retryable: false, todo: 'List the host or its network in cratewright.yaml.' },
  UntrustedCommit: { retryable: false, todo: 'Sign the commit with a key that cratewright.yaml lists.' },

  // Records
  RecordInvalid: {
    retryable: false,
    todo: 'Run `cratewright verify`, and restore the records branch from a good clone.',
  },
  RecordForged: {
    retryable: false,
    todo: 'Run `cratewright verify`, and find out who can push to the records branch.',
  },
  RecordsRewritten: {
    retryable: false,
    todo: 'Find out what happened, then name the accepted commit in `records.accept`.',
  },
  HeldByOther: {
    retryable: true,
    todo: 'Wait until the other controller has ended its step. If it is gone for good, run `cratewright reconcile <project> --take-over`.',
  },

  // Requests
  ConnectionNotMatched: { retryable: false, todo: 'Name a source that an admin has declared for this project.' },
  ConnectionAmbiguous: { retryable: false, todo: 'Name the port, so that exactly one SourceConnection matches.' },
  StoreNotMatched: { retryable: false, todo: 'Name a FileStore that an admin has declared.' },
  StoreInvalid: { retryable: false, todo: 'Correct the FileStore in the platform repository.' },
  DestinationNotSupported: { retryable: false, todo: 'Use `type: filestore` with `format: csv`.' },
  SourceNotSupported: { retryable: false, todo: 'Use a source of type postgresql.' },
  TableNotAvailable: {
    retryable: false,
    todo: 'Check the name, and ask the owner of the data for the right to read it.',
  },
  ColumnNotAvailable: {
    retryable: false,
    todo: 'Check the name, and ask the owner of the data for the right to read it.',
  },
  ColumnTypeDiffers: { retryable: false, todo: 'Write the type as the source has it; the owner of the data knows it.' },
  RowPolicyActive: {
    retryable: false,
    todo: 'Ask the owner of the data for a view, or for a reader that no row policy thins.',
  },
  ApprovalVoid: { retryable: false, todo: 'Look at what changed, and approve again.' },
  Unattributed: {
    retryable: false,
    todo: 'Remove the request in a commit, and add it again in another one that is signed with a key registered for a Person.',
  },
  StatementInvalid: {
    retryable: false,
    todo: 'Make a new statement with `cratewright sign-off` or `cratewright disclosure`.',
  },
  NobodyCanApprove: { retryable: false, todo: 'Ask an admin to add approvers who are independent of this request.' },

  // Sources and stores
  SourceUnreachable: { retryable: true, todo: 'Check that the database server is up and reachable.' },
  SourceAuthFailed: { retryable: true, todo: 'Check the credential that the SourceConnection names.' },
  SourceFailed: { retryable: true, todo: 'Look at the log of the database server.' },
  SourceTimeout: { retryable: true, todo: 'Raise the time limit of the SourceConnection, or ask for less.' },
  ExtractionCancelled: { retryable: true, todo: 'Nothing: the dataset is extracted again.' },
  StoreFailed: { retryable: true, todo: 'Check space, rights and mounts of the FileStore.' },
  StorePathTaken: { retryable: false, todo: 'Find out who wrote to that folder; it is not this release.' },
  StagedDataChanged: {
    retryable: false,
    todo: 'Find out who changed the staged files; approve the disclosure of the new ones.',
  },

  // Bags
  BagInvalid: { retryable: false, todo: 'Get an unchanged copy of the bag.' },
  Internal: { retryable: true, todo: 'Report this with the lines of the log around it.' },
} as const satisfies Record<string, CatalogueEntry>

export type ErrorCode = keyof typeof catalogue

/** Where in someone's files: `line` and `column` count from 1. */
export interface Where {
  readonly file: string
  readonly line?: number
  readonly column?: number
}

/** A finding as data: what `plan`, `explain`, status and pull requests show. */
export interface Problem {
  readonly code: ErrorCode
  readonly severity: 'error' | 'warning'
  readonly message: string
  readonly where?: Where
  readonly todo: string
}

interface ErrorDetail {
  readonly where?: Where
  readonly todo?: string
  readonly cause?: unknown
}

export class CratewrightError extends Error {
  readonly code: ErrorCode
  readonly where: Where | undefined
  readonly todo: string

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(oneLine(message), detail.cause === undefined ? undefined : { cause: detail.cause })
    this.name = 'CratewrightError'
    this.code = code
    this.where = detail.where
    this.todo = detail.todo ?? catalogue[code].todo
  }

  get retryable(): boolean {
    return catalogue[this.code].retryable
  }
}

export function problem(
  code: ErrorCode,
  message: string,
  detail: { where?: Where; todo?: string; severity?: 'error' | 'warning' } = {},
): Problem {
  const { where, todo = catalogue[code].todo, severity = 'error' } = detail
  return { code, severity, message: oneLine(message), todo, ...(where ? { where } : {}) }
}

/** Of the disk under the working folder: what a store or a source says is named where it is met. */
const diskErrors: ReadonlySet<unknown> = new Set(['ENOSPC', 'EROFS', 'EDQUOT', 'EIO', 'EACCES', 'EPERM'])

/** The given error as a CratewrightError; one that is not ours becomes `Internal`, without its message, which may hold data. */
export function asCratewrightError(error: unknown): CratewrightError {
  if (error instanceof CratewrightError) return error
  const kind = error instanceof Error ? error.name : typeof error
  const { code, syscall, path } = (error ?? {}) as NodeJS.ErrnoException
  if (diskErrors.has(code) && typeof syscall === 'string') {
    const what = `${syscall}${typeof path === 'string' ? ` ${path}` : ''}`
    return new CratewrightError('FolderUnreadable', `the disk refuses: ${what}: ${code}`, { cause: error })
  }
  return new CratewrightError('Internal', `an unexpected ${kind} was raised`, { cause: error })
}

export function problemOf(error: unknown): Problem {
  const { code, message, where, todo } = asCratewrightError(error)
  return problem(code, message, where ? { where, todo } : { todo })
}

/** `file:line:column`, as editors and terminals make it clickable. */
export function showWhere({ file, line, column }: Where): string {
  return [oneLine(file), line, line === undefined ? undefined : column].filter(part => part !== undefined).join(':')
}
