"""Exports through the same door: historians by maps, MES, SAP and CMMS by table."""
