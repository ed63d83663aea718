-- A generated clinical data set: no person in it exists. Patients, admissions, observations, with the values real data has.
create schema clinical;
create type clinical.sex as enum ('female', 'male', 'not recorded', 'O''Other');
create table clinical.patients (
  patient_id integer primary key,
  nhs_number text not null,
  "Family Name" text not null,
  sex clinical.sex,
  born date not null,
  languages text[],
  "order" integer,
  gp_note text,
  record jsonb,
  photo bytea,
  registered timestamptz not null
);
insert into clinical.patients
select i, lpad((9000000000 + i * 7919::bigint)::text, 10, '0'),
  case i % 7 when 0 then 'O''Brien' when 1 then 'Nuñez' when 2 then 'Smith, Jr' when 3 then '李' when 4 then 'van "Q" Dyk' when 5 then '👩🏽‍⚕️ Test' else 'Jones' end || ' ' || i,
  (array['female', 'male', 'not recorded', null])[1 + i % 4]::clinical.sex,
  date '1930-01-01' + (i * 7919 % 33000),
  case i % 5 when 0 then null when 1 then '{}' when 2 then array['en', null, 'cy'] when 3 then array['a,b', 'c"d', ''] else array['en'] end,
  i % 3,
  case i % 11 when 0 then null when 1 then '' when 2 then E'first line\nsecond, "quoted"\r\nthird\ttab' when 3 then '=HYPERLINK("http://x.example")' when 4 then '𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠜎' when 5 then 'NULL' when 6 then '\N' else 'note ' || i end,
  jsonb_build_object('big', 9007199254740993 + i, 'text', E'a "b"\n', 'none', null),
  case when i % 13 = 0 then null else decode(md5(i::text), 'hex') end,
  timestamptz '2020-01-01 00:00:00+00' + i * interval '37 minutes 11.000001 seconds'
from generate_series(1, 12000) i;

create table clinical.admissions (
  admission_id bigint primary key,
  patient_id integer not null references clinical.patients,
  admitted timestamptz not null,
  discharged timestamptz,
  ward text not null,
  cost numeric(38,10),
  "Codes" text[],
  letter text
);
insert into clinical.admissions
select 9007199254740000 + i, 1 + i % 12000, timestamptz '2021-01-01 00:00:00+00' + i * interval '9 minutes',
  case i % 17 when 0 then null when 1 then 'infinity' else timestamptz '2021-01-02 00:00:00+00' + i * interval '9 minutes' end,
  (array['Respiratory', 'Cardiology', 'A&E', 'Ward "7"', 'rare'])[case when i % 9000 = 0 then 5 else 1 + i % 4 end],
  case i % 19 when 0 then null when 1 then 'NaN' else (i * 7919::numeric) / 1234567 end,
  array['J45.' || i % 10, 'R06'],
  case i % 23 when 0 then '' when 1 then null else 'Dear colleague,' || E'\n' || md5(i::text) end
from generate_series(1, 60000) i;

create table clinical.observations (
  observation_id bigint primary key,
  patient_id integer not null references clinical.patients,
  taken timestamptz not null,
  kind text not null,
  value double precision,
  unit text
);
insert into clinical.observations
select i, 1 + i % 12000, timestamptz '2022-01-01 00:00:00+00' + i * interval '1 minute',
  (array['peak flow', 'SpO2', 'FEV1', 'heart rate'])[1 + i % 4],
  case i % 10007 when 0 then 'NaN' when 1 then 'Infinity' when 2 then '-Infinity' when 3 then null else sin(i) * 100 end,
  (array['l/min', '%', 'l', '1/min'])[1 + i % 4]
from generate_series(1, 240000) i;

create view clinical.asthma_admissions as
select a.admission_id, a.patient_id, a.admitted, a.ward from clinical.admissions a where a."Codes"[1] like 'J45%';
analyze;
