{{ config(materialized='table') }}

with days as (
    select day::date as date_day
    from generate_series(
        '{{ var("dates_from") }}'::timestamp,
        make_date(date_part('year', '{{ moment() }}'::timestamptz)::integer + 1, 12, 31),
        interval '1 day'
    ) as calendar (day)
),

described as (
    select
        date_day,
        to_char(date_day, 'YYYYMMDD')::integer as date_key,
        date_part('year', date_day)::smallint as year,
        date_part('quarter', date_day)::smallint as quarter,
        date_part('month', date_day)::smallint as month,
        to_char(date_day, 'FMMonth') as month_name,
        date_part('day', date_day)::smallint as day_of_month,
        date_part('doy', date_day)::smallint as day_of_year,
        date_part('isoyear', date_day)::smallint as iso_year,
        date_part('week', date_day)::smallint as iso_week,
        date_trunc('week', date_day::timestamp)::date as week_start,
        date_part('isodow', date_day)::smallint as weekday,
        to_char(date_day, 'FMDay') as weekday_name,
        date_part('isodow', date_day) >= 6 as is_weekend
    from days
)

select * from described
