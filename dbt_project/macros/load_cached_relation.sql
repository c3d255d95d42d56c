{#- dbt looks at a run's start for what there is. Of two runs that found nothing of a name, both would create it, and one fail;
    of two that replace a table, one trips over the other's backup. So the first thing that dbt does for a model, to ask
    for its relation, makes that one's own for as long as the node's connection lives, and looks again if nothing was there.

    Of a minute's tables it is more: of two runs, the one that had begun to compute first could write last, and put an older
    roll-up over a newer one. A minute of Millwright's holds all of them until it is done (`warehouse.transform`); any other
    run holds them for the model that it is making. So a minute waits for one model at most, and its own models see none
    of another run in between. -#}
{% macro load_cached_relation(relation) -%}
    {%- if execute and relation.render() == this.render() and env_var('MILLWRIGHT_HOLDS_MINUTE', '') == '' -%}
        {%- do run_query("select pg_advisory_lock(hashtext('millwright relation'), hashtext('" ~ this ~ "'))") -%}
        {%- if 'minute' in model.tags -%}
            {%- do run_query("select pg_advisory_lock_shared(hashtext('millwright minute'))") -%}
        {%- endif -%}
        {%- if adapter.get_relation(this.database, this.schema, this.identifier) is none -%}
            {%- for made in list_relations_without_caching(this.without_identifier()) if made['name'] == this.identifier -%}
                {%- do adapter.cache_added(this.incorporate(type=made['type'])) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(adapter.get_relation(relation.database, relation.schema, relation.identifier)) }}
{%- endmacro %}
