/** Where data comes from: the one interface behind which PostgreSQL (and later MySQL, SQL Server, Databricks) live. */

import type { Problem } from '../runtime/errors.ts'

/** A SourceConnection, resolved: where, as whom, within which limits. Credentials never appear in errors. */
export interface SourceTarget {
  readonly type: 'postgresql'
  readonly host: string
  /** The only addresses that are connected to, whatever the name stands for later; left out: it is resolved at each connection. */
  readonly addresses?: readonly string[]
  readonly port: number
  readonly database: string
  readonly tls: 'disable' | 'require' | 'verify-ca' | 'verify-full'
  /** PEM; undefined: the system's. */
  readonly ca?: string
  readonly username: string
  readonly password: string
  /** Milliseconds. */
  readonly connectTimeout: number
  /** Milliseconds a statement may take at the server; 0: no limit. */
  readonly statementTimeout: number
}

/** What a request asks of one table; names are free text until the catalogue has confirmed them. */
export interface TableRequest {
  readonly schema: string
  readonly table: string
  readonly columns: readonly { readonly name: string; readonly datatype: string }[]
}

/** What the catalogue says of one requested table. All of it enters the scope digest. */
export interface TableDescription {
  readonly schema: string
  readonly table: string
  readonly kind: 'table' | 'partitioned table' | 'view' | 'materialized view' | 'foreign table'
  /** In the order of the request; `type` is `format_type` of the column. */
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  /** Primary key columns in key order, when all of them are requested: rows are then written in that order. */
  readonly orderBy: readonly string[]
  /** Definitions of this view, and of every view and function it depends on (system ones left out), sorted by name. */
  readonly definitions: readonly { readonly name: string; readonly definition: string }[]
}

export interface Catalogue {
  /** In the order of the request; undefined where `findings` say why not. */
  readonly tables: readonly (TableDescription | undefined)[]
  /** Every difference at once. A table or column that is absent reads the same as one that may not be read. */
  readonly findings: readonly Problem[]
}

export interface ExtractedTable {
  readonly schema: string
  readonly table: string
  readonly rows: number
  /** Bytes. */
  readonly size: number
  readonly sha256: string
  readonly sha512: string
  readonly report: TableReport
}

/** What a value can show; the forms are those of identifiers.ts. */
export type Found =
  | 'nhsNumber'
  | 'tenDigits'
  | 'postcode'
  | 'email'
  | 'phone'
  | 'nationalInsurance'
  | 'ipAddress'
  | 'controlCharacters'
  | 'lineBreaks'
  | 'formula'
  | 'longText'
  | 'date'
  | 'timeOfDay'

/** By what a report counts. */
export interface ReportLimits {
  /** Values in fewer rows than this count as small cells. */
  readonly k: number
  /** Characters from which on a text in several words counts as long. */
  readonly freeTextLength: number
  /** By which the age of a date is taken. */
  readonly asOf: Date
}

/** What was counted of a table while it was extracted: no value of any row. Not yet for people: small counts are in it. */
export interface TableReport {
  readonly rows: number
  readonly columns: readonly ColumnReport[]
}

export interface ColumnReport {
  readonly name: string
  readonly type: string
  readonly nulls: number
  /** Distinct values, NULL not counted. */
  readonly distinct: number
  /** There were too many distinct values to count them: `distinct` is an estimate, and this its standard error, relative to it. */
  readonly standardError?: number
  /** Distinct values that stand in fewer than k rows. Absent where `distinct` is an estimate. */
  readonly smallCells?: number
  /** Rows whose value shows this; what is absent was not found. */
  readonly found: Readonly<Partial<Record<Found, number>>>
  /** Rows whose value was too long to be looked at whole. */
  readonly cut: number
  /** Of the dates found: those of 0 to 120 years before the extraction, and over how many years the middle nine tenths of them reach. */
  readonly dates?: { readonly withinLife: number; readonly spreadYears: number }
  /** A column before this one that holds the same in every row. */
  readonly sameAs?: string
}

export interface Progress {
  readonly table: string
  readonly rows: number
  readonly bytes: number
  /** The planner's estimate; undefined where it has none. */
  readonly estimatedRows: number | undefined
}

export interface DatasetExtraction {
  readonly tables: readonly {
    readonly description: TableDescription
    /** Absolute path at which the finished file appears, whole. */
    readonly file: string
  }[]
  readonly limits: ReportLimits
  readonly onProgress: (progress: Progress) => void
}

/**
 * One kind of source. Connections are opened and closed inside each call. Errors: SourceUnreachable, SourceAuthFailed,
 * SourceTimeout, SourceFailed, ExtractionCancelled: with the server's SQLSTATE, never with its text, which can hold row values.
 */
export interface Source {
  /** Reads the catalogue for the tables of a request. */
  describe(tables: readonly TableRequest[], signal: AbortSignal): Promise<Catalogue>

  /**
   * Extracts the tables of one dataset in one read-only snapshot, each into its file, hashing while writing. Fails with
   * ApprovalVoid when the catalogue, read again inside that snapshot, no longer matches a description. Aborting cancels at the server.
   */
  extract(dataset: DatasetExtraction, signal: AbortSignal): Promise<readonly ExtractedTable[]>
}

export type OpenSource = (target: SourceTarget) => Source
