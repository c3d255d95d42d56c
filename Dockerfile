# One image for every process of the Procfile; docker-compose.yml says which one a container runs.
FROM python:3.12-slim

# scikit-learn needs OpenMP's runtime, which the slim image lacks.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /millwright
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt

COPY . .
RUN useradd --uid 10001 --create-home millwright \
    && mkdir --parents var \
    && chown millwright:millwright var dbt_project
USER millwright
VOLUME /millwright/var

# The command is one line of the Procfile, in the environment that the Procfile's processes have.
ENTRYPOINT ["/bin/sh", "-c", "eval \"$(python -m stack env)\" && exec /bin/sh -c \"exec $0\""]
