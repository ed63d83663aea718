/** docs/errors.md, from the catalogue of errors and one sentence on each code. Written and checked by `scripts/generate`. */

import { catalogue, type ErrorCode } from '../controller/runtime/errors.ts'

/** What each code means. A code that is missing here, or one too many, is an error of `tsc`. */
const meanings: Readonly<Record<ErrorCode, string>> = {
  YamlInvalid:
    'A file is not YAML that can be read safely: its syntax is wrong, or it has duplicate keys, merge keys or too many aliases.',
  TomlInvalid: 'A file is not TOML.',
  DocumentTooLarge: 'A file has more bytes, or holds more documents, than it may.',
  DocumentInvalid: 'A document is well formed, and a field of it is missing, unknown or not of the form it must have.',
  DocumentMissing: 'A file that is needed is not there.',
  FieldIgnored: 'A field is accepted for the sake of older documents, and has no effect.',
  KindUnknown: 'A manifest is of a kind that the controller does not know.',
  KindNotAllowed: 'A manifest is of a kind that its repository may not declare.',
  DuplicateResource: 'Two manifests declare the same kind and name.',
  ProjectNameMismatch: 'The folder of a request has another name than the project in it.',
  SecretInRequest:
    'A request holds the value of a secret, where only its name may stand. Whoever can read the repository has seen it.',
  UnsafePath:
    'A file is a link or a submodule, or has a name that leads out of its folder or that some platform would place elsewhere.',
  TreeTooLarge: 'There are more files, or more bytes in all, than one read may bring into memory.',
  ConfigInvalid: 'The bootstrap file, or what it names, cannot be used as it is.',
  UsageInvalid: 'The command line asks for something that there is not.',
  KeyInvalid: 'A key is not one that can be read, or is not of a kind that is used here.',
  KeyEncrypted: 'A private key is protected by a passphrase, which was wrong or cannot be asked for here.',
  KeyNotFound: 'The SSH agent does not hold the key that was named, or none that is registered.',
  AgentUnreachable: 'There is no SSH agent, or it does not answer as one.',
  SigningRefused: 'The SSH agent or the security key did not sign: nobody confirmed, or not in time.',
  SignatureInvalid: 'A signature does not belong to this file and this key.',
  SecretNotFound: 'A secret that is named is not where the bootstrap file says that secrets are.',
  FolderUnreadable: 'The working folder, or a file in it, cannot be read or written.',
  FolderHeld: 'Another process, most likely `serve`, holds the working folder.',
  ProgramMissing: 'A program that is needed is not installed.',
  ProgramTimeout: 'A program did not end in time.',
  ProgramOutputTooLarge: 'A program wrote more than may be kept in memory.',
  GitNotFound: 'There is no `git`, or it is too old.',
  GitUnreachable: 'The Git server does not answer, or the connection broke.',
  GitDenied: 'The Git server does not accept the credential, or gives it no right to do this.',
  HostKeyMismatch:
    'A Git server shows another SSH host key than the ones listed for it: the key was changed, or something stands in between.',
  GitFailed: '`git` failed in a way that has no code of its own.',
  GitRefMissing: 'A branch that is watched or asked for is not on the server.',
  GitObjectMissing: 'A commit or file that is named is not on the server, or no longer.',
  WriteBackBlocked:
    'The server refuses the push of records. Steps that must be recorded wait; everything else goes on.',
  SourceMoved: 'A repository has moved while something was decided on it.',
  LogMoved: 'Somebody else wrote to the log first, so that nothing was written on top of what was read.',
  HostNotAllowed: 'An address is of a host, a network or a transport that the bootstrap file does not list.',
  UntrustedCommit:
    'A commit of the platform repository is not signed by a key that the bootstrap file lists. What was applied before it stays.',
  RecordInvalid: 'A log on the records branch is not whole: an entry is missing, changed, or says what no log says.',
  RecordForged: 'The records branch has a commit that no declared signer wrote.',
  RecordsRewritten:
    'The records branch does not descend from where it was seen last. Nothing is staged or published meanwhile.',
  HeldByOther: 'Another controller has begun a step and not ended it.',
  ConnectionNotMatched:
    'No SourceConnection that this project may use has the type, host and database that the request names.',
  ConnectionAmbiguous: 'More than one SourceConnection matches what the request names.',
  StoreNotMatched: 'The request names a FileStore that there is not, or none where there are several.',
  StoreInvalid: 'A FileStore cannot be used as it is declared: a folder is missing, or staging and production overlap.',
  DestinationNotSupported: 'The request asks for a destination or a format that there is not.',
  SourceNotSupported: 'The request names a source of a type that cannot be read yet.',
  TableNotAvailable:
    'A table is not there, or may not be read. Which of the two, a source does not say before the sign-off.',
  ColumnNotAvailable:
    'A column is not there, or may not be read. Which of the two, a source does not say before the sign-off.',
  ColumnTypeDiffers: 'A column has another type in the source than in the request.',
  RowPolicyActive:
    'The source hides rows of a table from the reader, so that the data would be thinner than anyone was told.',
  ApprovalVoid: 'Something that was approved has changed since: the request, what it resolves to, or the data.',
  Unattributed:
    'A commit of the request is not signed by a key of any Person, so that nobody can be barred from approving their own work.',
  StatementInvalid:
    'An approval does not count: it does not fit what is to be approved, or its signer may not approve it.',
  NobodyCanApprove: 'Everybody in a group that has to agree had a part in the request.',
  SourceUnreachable: 'The database server does not answer, or the connection broke.',
  SourceAuthFailed: 'The database server does not accept the credential.',
  SourceFailed:
    'The database server ended a query with an error. What it said may hold data, and is in its own log only.',
  SourceTimeout: 'A query took longer than it may.',
  ExtractionCancelled: 'The extraction of a dataset was stopped before its end.',
  StoreFailed: 'A file of a FileStore cannot be read or written.',
  StorePathTaken: 'Something else lies where a release is to be put, or another Repository has the folder.',
  StagedDataChanged: 'Staged files are not the ones that the disclosure was decided on.',
  BagInvalid: 'A release is not a valid bag: files are missing, added or changed.',
  Internal: 'Something happened that this program does not expect. Its details are in the log only.',
}

/** The page's text. Alphabetical: whoever comes here has a code in hand. */
export function errorsPage(): string {
  const codes = (Object.keys(catalogue) as ErrorCode[]).sort()
  const sections = codes.map(code => {
    const { retryable, todo } = catalogue[code]
    const retried = retryable
      ? 'It is tried again by itself, with growing pauses.'
      : 'It is not tried again: it needs new input.'
    return `### ${code}\n\n${meanings[code]}\n\n- **What to do:** ${todo}\n- ${retried}\n`
  })
  return [
    '<!-- Written by scripts/generate from controller/runtime/errors.ts and scripts/errors-page.ts; edit those. -->\n',
    '# Errors\n',
    `Every error has one of these ${codes.length} codes. A code never changes its meaning; the words around it may. Commands print it in brackets, \`--json\``,
    'and statuses have it as `code` or `reason`, logs as `code`. Where an error knows a more precise thing to do than this page, it says that instead.\n',
    ...sections,
  ].join('\n')
}
