-- A small database of what breaks extractors; spec/data/postgres.spec.ts says what is expected of it.
CREATE SCHEMA clinical;
CREATE SCHEMA "Mixed Case";
CREATE SCHEMA hidden;
CREATE TYPE clinical.sex AS ENUM ('female', 'male', 'O''Other');
CREATE DOMAIN clinical.nhs_number AS text CHECK (VALUE ~ '^[0-9]{10}$');
CREATE TABLE clinical.types (
  id integer PRIMARY KEY, c_numeric numeric(10,2), c_double double precision, c_bool boolean, c_bytea bytea, c_date date, c_time timestamptz(3),
  c_interval interval, c_json json, c_money money, c_point point, c_xml xml, c_varchar varchar(10), c_char "char", c_array text[], c_sex clinical.sex, c_nhs clinical.nhs_number
);
INSERT INTO clinical.types (id) VALUES (1);
INSERT INTO clinical.types VALUES (2, 1.5, '-0', true, '\x00ff', '4713-01-01 BC', '2026-03-29 01:30:00.5+01', '1 year 2 mons -3 days', '{"b":1, "a":2}', 12.5,
  '(1,2)', '<a/>', 'ž', 'x', '{a,"b,c",NULL}', 'O''Other', '9434765919');
CREATE TABLE clinical.traps (n integer PRIMARY KEY, v text);
INSERT INTO clinical.traps VALUES (1, NULL), (2, ''), (3, 'NULL'), (4, '\N'), (5, '\.'), (6, 'a,"b"'), (7, E'line\nfeed'), (8, E'cr\r\nlf'), (9, '=1+1'), (10, '👩🏽‍⚕️');
CREATE TABLE clinical.one_column (v text);
INSERT INTO clinical.one_column VALUES (NULL), (''), ('x');
CREATE TABLE clinical.no_rows (id bigint PRIMARY KEY);
CREATE TABLE "Mixed Case"."Order" ("select" integer PRIMARY KEY, "quote""d" text, "per%cent" text, "semi;colon" text, "日本語" text, "__proto__" text, "constructor" text,
  "new
line" text);
INSERT INTO "Mixed Case"."Order" VALUES (1, 'q', 'p', 's', '値', 'proto', 'c', 'n');
CREATE TABLE "Mixed Case"."order" (id integer);
CREATE TABLE "Mixed Case"."../escape" (id integer PRIMARY KEY);
CREATE TABLE clinical."Robert'); DROP TABLE students;--" ("id"");--" integer);
CREATE TABLE clinical.a_name_that_is_exactly_sixty_three_bytes_long_in_postgresql_ok (id integer);
CREATE TABLE clinical.two_keys (b integer, a integer, v text, PRIMARY KEY (b, a));
INSERT INTO clinical.two_keys SELECT b, a, 'v' FROM generate_series(3, 1, -1) a, generate_series(3, 1, -1) b;
CREATE TABLE clinical.visits (id bigint PRIMARY KEY, person integer, note text);
INSERT INTO clinical.visits SELECT i, nullif(i % 60, 0), CASE WHEN i % 3 = 0 THEN E'with\n"lines"' ELSE 'category ' || i % 7 END FROM generate_series(1, 20000) i;
INSERT INTO clinical.visits VALUES (20001, 1, 'rare');
DO $$ BEGIN
  EXECUTE 'CREATE TABLE clinical.wide (' || (SELECT string_agg(format('c%s integer DEFAULT %s', i, i), ', ') FROM generate_series(1, 150) i) || ')';
  INSERT INTO clinical.wide DEFAULT VALUES;
END $$;
CREATE TABLE clinical.measurements (id bigint, taken date) PARTITION BY RANGE (taken);
CREATE TABLE clinical.measurements_2024 PARTITION OF clinical.measurements FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO clinical.measurements VALUES (1, '2024-02-29');
CREATE FUNCTION clinical.twice(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1 * 2';
CREATE VIEW clinical.v_inner AS SELECT id, clinical.twice(person) AS person FROM clinical.visits;
CREATE VIEW clinical.v_outer AS SELECT id FROM clinical.v_inner WHERE person > 2;
CREATE MATERIALIZED VIEW clinical.mv AS SELECT person, count(*) AS visits FROM clinical.visits GROUP BY person;
CREATE VIEW clinical.v_fails_midway AS SELECT id, 1 / (15000 - id) AS boom FROM clinical.visits;
CREATE FUNCTION clinical.slow(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.01); RETURN $1; END $$;
CREATE VIEW clinical.v_slow AS SELECT clinical.slow(id) AS id FROM clinical.visits;
CREATE VIEW clinical.v_large AS SELECT i AS id, repeat(md5(i::text), 30) AS filler FROM generate_series(1, 3000000) i;
CREATE TABLE clinical.secured (id integer PRIMARY KEY, site text);
INSERT INTO clinical.secured VALUES (1, 'A'), (2, 'B');
ALTER TABLE clinical.secured ENABLE ROW LEVEL SECURITY;
CREATE TABLE clinical.partly (id integer PRIMARY KEY, public text, secret text);
INSERT INTO clinical.partly VALUES (1, 'may be read', 'must not be read');
CREATE TABLE clinical.no_access (id integer);
CREATE TABLE hidden.present (id integer);
CREATE ROLE reader LOGIN PASSWORD 'reader-password';
GRANT USAGE ON SCHEMA clinical, "Mixed Case" TO reader;
GRANT SELECT ON ALL TABLES IN SCHEMA clinical, "Mixed Case", hidden TO reader;
REVOKE ALL ON clinical.partly, clinical.no_access FROM reader;
GRANT SELECT (id, public) ON clinical.partly TO reader;
CREATE POLICY site_a ON clinical.secured FOR SELECT TO reader USING (site = 'A');
