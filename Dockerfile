FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app

COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check --requirement requirements.txt

COPY . .
RUN useradd --system --create-home scriptorium \
 && mkdir /data && chown scriptorium:scriptorium /data \
 && SECRET_KEY=only-to-collect LOCAL=1 DATA_DIR=/data python manage.py collectstatic --noinput --verbosity 0 \
 && chown -R scriptorium:scriptorium /data
USER scriptorium

ENV DATA_DIR=/data HOST=0.0.0.0 PORT=8000
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD ["python", "-m", "orchestrator.probe"]
ENTRYPOINT ["python", "manage.py"]
CMD ["serve"]
