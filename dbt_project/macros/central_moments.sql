{#- Four columns over a group: `prefix` count, mean, and m2 and m3, the sums of the squared and cubed distances from that
    mean. In one pass and without cancellation: sum((x - mean) (x² - mean of x²)) = m3 + 2 mean m2, and Postgres sums
    such products by Youngs and Cramer. Groups pool as N = sum(n), M = sum(n mean) / N, M2 = sum(m2 + n (mean - M)²),
    M3 = sum(m3 + 3 (mean - M) m2 + n (mean - M)³). Values beyond 1e70, whose fourth power would overflow, are left out. -#}
{% macro central_moments(column, prefix='') -%}
    {%- set x = 'case when abs(' ~ column ~ ') < 1e70 then ' ~ column ~ ' end' -%}
    {%- set pair = '(' ~ x ~ ') * (' ~ x ~ '), ' ~ x -%}
    regr_count({{ pair }})::integer as {{ prefix }}count,
    regr_avgx({{ pair }}) as {{ prefix }}mean,
    regr_sxx({{ pair }}) as {{ prefix }}m2,
    regr_sxy({{ pair }}) - 2 * regr_avgx({{ pair }}) * regr_sxx({{ pair }}) as {{ prefix }}m3
{%- endmacro %}
